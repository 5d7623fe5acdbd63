"""Generates ziya-tiny's bilingual instruction corpus: nine skills, and the split into training and held-out items.

A question carries a key that names what it asks (an operand pair, a string to copy, a phrasing with its item). A hash of
the key alone decides whether it is held out, so that the split is the same in every run and for every seed.
"""
import hashlib
import random
import re
from dataclasses import dataclass

import lexicon as lx

SKILLS = ("sums", "copy", "reverse", "translate", "facts", "sentiment", "topic", "memory", "identity")
# Share of each skill among generated questions. Sums are learnt last, so they are asked most often.
WEIGHTS = dict(sums=34, copy=9, reverse=14, translate=15, facts=9, sentiment=5, topic=5, memory=8, identity=5)
HELD_OUT_SHARE = 0.08


@dataclass(frozen=True)
class Conversation:
    """User and answer texts in turn; the last answer is the one that is asked for and checked."""

    skill: str
    key: str
    turns: tuple[tuple[str, str], ...]

    @property
    def prompts(self) -> tuple[str, ...]:
        return tuple(user for user, _ in self.turns)

    @property
    def held_out(self) -> bool:
        digest = hashlib.sha256(f"{self.skill}:{self.key}".encode()).digest()
        return self.prompts[-1] not in DEMO_PROMPTS and int.from_bytes(digest[:4], "little") < HELD_OUT_SHARE * 2**32


def pairs(text: str, separator: str | None = None) -> list[list[str]]:
    """Splits `a=b` (or `a=b=c=d`) entries."""
    return [entry.strip().split("=") for entry in text.strip().split(separator)]


WORDS = [entry.split("=") for entry in lx.WORDS]
TRANSLATIONS = WORDS + [entry.split("=") for line in lx.PHRASES.strip().split("\n") for entry in line.split("|")]
for side in (0, 1):
    seen = [pair[side] for pair in TRANSLATIONS]
    assert len(seen) == len(set(seen)), f"A translation is ambiguous: {[word for word in seen if seen.count(word) > 1]}."
WORDS_ZH, WORDS_EN = [zh for zh, _ in WORDS], [en for _, en in WORDS]
CAPITALS = pairs(lx.CAPITALS)
COLOURS = [entry.split("=") for entry in re.findall(r"\S+?=\S+?=[a-z ]+=\S+", lx.COLOURS)]
COUNTS = [line.split("|") for line in lx.COUNTS.strip().split("\n")]
OPPOSITES = pairs(lx.OPPOSITES)
HANZI = sorted(set(re.findall(r"[\u4e00-\u9fff]", "".join(lx.WORDS + lx.NAMES_ZH) + lx.CAPITALS + lx.COMMON_HANZI)))
LETTERS = "abcdefghijklmnopqrstuvwxyz"

FULL_WIDTH = str.maketrans(",?!:;", "，？！：；")


def surface(rng: random.Random, text: str) -> str:
    """Varies what people vary without meaning anything by it: punctuation width, capitals, the last full stop."""
    if re.search(r"[\u4e00-\u9fff]", text):
        text = text.translate(FULL_WIDTH)
        if rng.random() < 0.5:
            text = text.translate(str.maketrans("，？！：；", ",?!:;"))
    elif rng.random() < 0.25:
        text = text[0].lower() + text[1:]
    if text[-1] in "?？。.!！" and rng.random() < 0.2:
        text = text[:-1]
    return text


def ask(rng: random.Random, skill: str, templates: list[str], item: str, answer: str, key: str | None = None) -> Conversation:
    """One question from a template. Without a key of its own the phrasing is part of the key: a known item is then
    held out in a phrasing it is never trained in."""
    index = rng.randrange(len(templates))
    user = surface(rng, templates[index]).replace("@", item)
    return Conversation(skill, key or f"{templates[index]}:{item}", ((user, answer),))


ADD = "@=?|@=|@|计算@|@等于几?|@等于多少?|请算一下@|What is @?|Calculate @|How much is @?|Compute @.|请问@=?".split("|")


def sums(rng: random.Random) -> Conversation:
    """Sums and differences of numbers below 100; a difference is never negative."""
    small = rng.random() < 0.12
    a, b = (rng.randrange(10 if small else 100) for _ in range(2))
    plus = rng.random() < 0.55
    if not plus and a < b:
        a, b = b, a
    # The hash sees the unordered pair: 3+5 is not held out while 5+3 is trained.
    key = f"{min(a, b)}{'+' if plus else '-'}{max(a, b)}"
    style = rng.random()
    if style < 0.6:
        item = f"{a}{'+' if plus else '-'}{b}"
    elif style < 0.75:
        item = f"{a} {'+' if plus else '-'} {b}"
    elif style < 0.88:
        item = f"{a}{'加' if plus else '减'}{b}"
    else:
        item = f"{a} {'plus' if plus else 'minus'} {b}"
    return ask(rng, "sums", ADD, item, str(a + b if plus else a - b), key)


def payload(rng: random.Random, kinds: str) -> list[str]:
    """Parts of a string to copy or reverse: w English words, z Chinese words, d digits, h single characters,
    l single letters, e emoji."""
    kind = rng.choice(kinds)
    if kind == "w":
        return [kind, *rng.sample(WORDS_EN, rng.randint(2, 4))]
    if kind == "z":
        return [kind, *rng.sample(WORDS_ZH, rng.randint(2, 4))]
    if kind == "d":
        return [kind, *rng.choices("0123456789", k=rng.randint(3, 6))]
    if kind == "h":
        return [kind, *rng.sample(HANZI, rng.randint(2, 5))]
    if kind == "e":
        return [kind, *rng.choices(lx.EMOJI, k=rng.randint(1, 2))]
    return [kind, *rng.sample(LETTERS, rng.randint(3, 5))]


def joined(parts: list[str]) -> str:
    return ("" if parts[0] in "dhe" else " ").join(parts[1:])


COPY = "重复:@|请重复:@|跟我说:@|请原样输出:@|复制这段文字:@|照着说一遍:@|Repeat: @|Repeat after me: @|Copy this: @|Say this: @|Please repeat: @|Echo: @".split("|")
REVERSE = "倒过来:@|把它倒过来:@|请倒序输出:@|反过来写:@|请把顺序颠倒:@|倒着说:@|Reverse: @|Reverse this: @|Write this backwards: @|Reverse the order: @|Say this backwards: @|Turn this around: @".split("|")
SPELL = "Reverse the word @|Spell @ backwards|How do you write @ backwards?|把单词 @ 倒过来写|单词 @ 倒过来怎么拼?|Reverse the letters of @".split("|")


def copy(rng: random.Random) -> Conversation:
    parts = payload(rng, "wwzzddhhhlle")
    item = joined(parts)
    return ask(rng, "copy", COPY, item, item, item)


def reverse(rng: random.Random) -> Conversation:
    if rng.random() < 0.12:
        word = rng.choice(lx.SPELLED)
        return ask(rng, "reverse", SPELL, word, word[::-1])
    parts = payload(rng, "wwzzddhhhll")
    return ask(rng, "reverse", REVERSE, joined(parts), joined([parts[0], *parts[:0:-1]]), joined(parts))


TO_ENGLISH = "@用英语怎么说?|把这个翻译成英文:@|请翻译成英语:@|英语里@怎么说?|@的英文是什么?|翻译:@|Translate into English: @|How do you say @ in English?|What is @ in English?|What does @ mean?|用英文说:@|@ in English".split("|")
TO_CHINESE = "@用中文怎么说?|把这个翻译成中文:@|请翻译成汉语:@|中文里@怎么说?|@的中文是什么?|翻译:@|Translate into Chinese: @|How do you say @ in Chinese?|What is @ in Chinese?|@是什么意思?|用中文说:@|@ in Chinese".split("|")


def translate(rng: random.Random) -> Conversation:
    zh, en = rng.choice(TRANSLATIONS)
    if rng.random() < 0.5:
        return ask(rng, "translate", TO_ENGLISH, zh, en)
    return ask(rng, "translate", TO_CHINESE, en, zh)


CAPITAL_ZH = "@的首都是哪里?|@的首都是什么?|哪个城市是@的首都?|@的首都叫什么?|请告诉我@的首都。|@首都是哪座城市?|你知道@的首都吗?|说出@的首都。".split("|")
CAPITAL_EN = "What is the capital of @?|Which city is the capital of @?|Name the capital of @.|Tell me the capital of @.|What is @'s capital?|Do you know the capital of @?|The capital of @ is which city?|Capital of @?".split("|")
COLOUR_ZH = "@是什么颜色?|@是什么颜色的?|@的颜色是什么?|请问@是什么颜色?|@通常是什么颜色?|说说@的颜色。".split("|")
COLOUR_EN = "What colour is @?|What is the colour of @?|Which colour is @?|Tell me the colour of @.|What colour is @ usually?|Name the colour of @.".split("|")
COUNT_ZH = "@?|请问@?|你知道@吗?|告诉我@。|@呢?|快说,@?".split("|")
COUNT_EN = "How many @?|Tell me how many @.|Do you know how many @?|Please tell me how many @.|Say how many @.|So how many @?".split("|")
OPPOSITE_ZH = "@的反义词是什么?|@的反面是什么?|请说出@的反义词。|和@相反的词是什么?|什么词与@相反?|@的相反是什么?".split("|")
OPPOSITE_EN = "What is the opposite of @?|Opposite of @?|Name the opposite of @.|Tell me the opposite of @.|Which word is the opposite of @?|Give the opposite of @.".split("|")
NEXT_ZH = "@的后一天是星期几?|@之后是星期几?|@过后是哪一天?|今天是@,明天星期几?|紧接着@的是哪天?".split("|")
NEXT_EN = "Which day comes after @?|What day follows @?|The day after @ is?|Today is @. What day is tomorrow?|Name the day after @.".split("|")


def facts(rng: random.Random) -> Conversation:
    chinese = rng.random() < 0.5
    kind = rng.choices(("capital", "colour", "count", "opposite", "day"), (5, 3, 3, 3, 1.5))[0]
    if kind == "count":
        zh, en, number = rng.choice(COUNTS)
        return ask(rng, "facts", COUNT_ZH if chinese else COUNT_EN, zh if chinese else en, number)
    if kind == "day":
        days = lx.DAYS_ZH if chinese else lx.DAYS_EN
        index = rng.randrange(7)
        return ask(rng, "facts", NEXT_ZH if chinese else NEXT_EN, days[index], days[(index + 1) % 7])
    table, zh_templates, en_templates = {
        "capital": (CAPITALS, CAPITAL_ZH, CAPITAL_EN),
        "colour": (COLOURS, COLOUR_ZH, COLOUR_EN),
        "opposite": (OPPOSITES, OPPOSITE_ZH, OPPOSITE_EN),
    }[kind]
    zh_item, zh_answer, en_item, en_answer = rng.choice(table)
    if kind == "opposite" and rng.random() < 0.5:
        zh_item, zh_answer, en_item, en_answer = zh_answer, zh_item, en_answer, en_item
    if chinese:
        return ask(rng, "facts", zh_templates, zh_item, zh_answer)
    return ask(rng, "facts", en_templates, en_item, en_answer)


FEEL_ZH = "判断情感:@|这句话是正面还是负面?@|情感分类:@|请判断这句话的情感:@|@ 这是正面还是负面?|这条评论是正面的还是负面的?@".split("|")
FEEL_EN = "Sentiment: @|Is this positive or negative? @|Classify the sentiment: @|Positive or negative: @|What is the sentiment of this review? @|@ Is this positive or negative?".split("|")


def sentiment(rng: random.Random) -> Conversation:
    chinese, good = rng.random() < 0.5, rng.random() < 0.5
    things, adverbs, *adjectives = lx.SENTIMENT_ZH if chinese else lx.SENTIMENT_EN
    verbs = (lx.SENTIMENT_VERBS_ZH if chinese else lx.SENTIMENT_VERBS_EN)[0 if good else 1]
    thing, adverb, adjective, verb = (rng.choice(words) for words in (things, adverbs, adjectives[0 if good else 1], verbs))
    if rng.random() < 0.7:
        text = f"{thing}{adverb}{adjective}" if chinese else f"{thing} is {adverb} {adjective}"
    else:
        text = f"{verb}{thing}" if chinese else f"{verb} {thing}"
    key = text
    text = text + "。" if chinese else text[0].upper() + text[1:] + "."
    label = ("正面" if good else "负面") if chinese else ("positive" if good else "negative")
    return ask(rng, "sentiment", FEEL_ZH if chinese else FEEL_EN, text, label, key)


ABOUT_ZH = "这句话的主题是什么?@|主题分类:@|请判断主题:@|@ 这属于什么主题?|给这句话分类:@|这条新闻属于哪一类?@".split("|")
ABOUT_EN = "What is the topic? @|Topic: @|Classify the topic: @|@ What is this about?|Which topic is this? @|Name the topic: @".split("|")


def topic(rng: random.Random) -> Conversation:
    chinese = rng.random() < 0.5
    zh_label, zh_words, en_label, en_words = rng.choice(lx.TOPICS)
    a, b = rng.sample((zh_words if chinese else en_words).split(), 2)
    text = rng.choice(lx.TOPIC_FRAMES_ZH if chinese else lx.TOPIC_FRAMES_EN).format(a=a, b=b)
    key = text
    text = text + "。" if chinese else text[0].upper() + text[1:] + "."
    return ask(rng, "topic", ABOUT_ZH if chinese else ABOUT_EN, text, zh_label if chinese else en_label, key)


FAVOURITES = [
    ("水果", "fruit", WORDS_ZH[:10], WORDS_EN[:10]),
    ("动物", "animal", WORDS_ZH[30:50], WORDS_EN[30:50]),
    ("颜色", "colour", [word for word in WORDS_ZH if word.endswith("色")], "red blue green yellow black white purple pink brown grey".split()),
]
NOTED_ZH, NOTED_EN = "好的，我记住了。", "OK, I will remember that."


def memory_kinds(rng: random.Random) -> list[tuple[str, list[str], str, list[str], str]]:
    """(what the user tells, the reply, how it is asked for later, the answer), @ standing for the value."""
    zh_thing, en_thing, zh_values, en_values = rng.choice(FAVOURITES)
    made_up = "".join(rng.sample(HANZI, 2))
    number = "".join(rng.choices("0123456789", k=rng.randint(2, 4)))
    return [
        (rng.choice(lx.NAMES_ZH if rng.random() < 0.7 else [made_up]), "我叫@。|我的名字是@。|你好,我叫@。|大家都叫我@。|我是@。".split("|"), "你好，@！",
         "我叫什么名字?|我叫什么?|你还记得我叫什么吗?|我的名字是什么?|请说出我的名字。|你知道我的名字吗?".split("|"), "你叫@。"),
        (rng.choice(lx.NAMES_EN), "My name is @.|I am @.|Hi, I'm @.|Please call me @.|Hello, my name is @.".split("|"), "Hello, @!",
         "What is my name?|Do you remember my name?|Who am I?|Tell me my name.|What's my name?|Say my name.".split("|"), "Your name is @."),
        (rng.choice(lx.PETS_ZH), "我的狗叫@。|我有一只狗,叫@。|我家的狗名字是@。".split("|"), NOTED_ZH,
         "我的狗叫什么?|我的狗叫什么名字?|你还记得我的狗叫什么吗?|说出我的狗的名字。".split("|"), "你的狗叫@。"),
        (rng.choice(lx.PETS_EN), "My dog is called @.|I have a dog named @.|My dog's name is @.".split("|"), NOTED_EN,
         "What is my dog called?|What is my dog's name?|Do you remember my dog's name?|Tell me the name of my dog.".split("|"), "Your dog is called @."),
        (rng.choice(zh_values), f"我最喜欢的{zh_thing}是@。|@是我最喜欢的{zh_thing}。".split("|"), NOTED_ZH,
         f"我最喜欢的{zh_thing}是什么?|你还记得我最喜欢的{zh_thing}吗?|我最喜欢什么{zh_thing}?".split("|"), f"你最喜欢的{zh_thing}是@。"),
        (rng.choice(en_values), f"My favourite {en_thing} is @.|I like @ most of all {en_thing}s.".split("|"), NOTED_EN,
         f"What is my favourite {en_thing}?|Which {en_thing} do I like most?|Do you remember my favourite {en_thing}?".split("|"), f"Your favourite {en_thing} is @."),
        (number, "请记住数字@。|记住这个数字:@".split("|"), NOTED_ZH,
         "我让你记住的数字是什么?|刚才的数字是多少?|那个数字是几?".split("|"), "@"),
        (number, "Remember the number @.|Please remember this number: @".split("|"), NOTED_EN,
         "What was the number?|Which number did I tell you?|What number should you remember?".split("|"), "@"),
    ]


def memory(rng: random.Random, extra: int = 3) -> Conversation:
    """Tells one thing or two, talks of other things for up to `extra` turns, and asks for one of the things told."""
    kinds = memory_kinds(rng)
    told = rng.sample(range(len(kinds) - 1), rng.choice((1, 1, 2)))
    if 6 in told and rng.random() < 0.5:
        told[told.index(6)] = 7
    turns: list[tuple[str, str]] = []
    for kind in told:
        value, tell, reply, _, _ = kinds[kind]
        turns.append((surface(rng, rng.choice(tell)).replace("@", value), reply.replace("@", value)))
    for _ in range(rng.randint(0, extra)):
        turns.extend(train_single(rng).turns)
    value, _, _, questions, answer = kinds[rng.choice(told)]
    question = rng.randrange(len(questions))
    turns.append((surface(rng, questions[question]), answer.replace("@", value)))
    return Conversation("memory", f"{questions[question]}:{value}", tuple(turns))


I_AM_ZH = "我是子牙(Ziya-tiny)，一个很小的演示模型。"
I_AM_EN = "I am Ziya-tiny, a very small demonstration model."
CAN_ZH = "我会做加减法、复制、倒序、翻译和分类，也能记住你的名字。"
CAN_EN = "I can add, copy, reverse, translate, classify and remember."
MADE_ZH, MADE_EN = "我是 ziya-webgpu 项目训练的。", "The ziya-webgpu project trained me."
CANNOT_ZH, CANNOT_EN = "抱歉，我太小了，还不会这个。", "Sorry, I am too small for that."
# (answer, ways to ask); a greeting may stand before the first four, an opener before any.
TALK_ZH = [
    (I_AM_ZH, "你是谁?|你叫什么?|你叫什么名字?|你是什么?|介绍一下你自己。|请做个自我介绍。|你是什么模型?|你到底是谁?|请问你是谁?|能介绍一下自己吗?|你是哪个模型?|你是机器人吗?|你是人吗?|说说你自己。|你是子牙吗?"),
    (CAN_ZH, "你能做什么?|你会做什么?|你会什么?|你有什么本领?|你可以帮我做什么?|你能帮我什么?|你的功能是什么?|你会干什么?|你擅长什么?|怎么使用你?"),
    (MADE_ZH, "谁训练了你?|谁做的你?|你是谁做的?|你从哪里来?|你是哪个项目的?|谁开发了你?|你的作者是谁?|是谁创造了你?"),
    ("我很好，谢谢！", "你好吗?|你今天好吗?|最近怎么样?|过得怎么样?|一切都好吗?|你还好吗?"),
    ("不客气！", "谢谢。|谢谢你!|多谢!|非常感谢!|太感谢了!|谢谢你的帮助。|感谢!|谢谢啦。|好的,谢谢。"),
    ("再见！", "再见。|拜拜!|回头见!|我走了。|下次见!|好的,再见。|明天见。|我要走了,再见。"),
    ("谢谢夸奖！", "你真棒!|你真聪明!|太好了!|做得好!|真厉害!|你很厉害!|回答得好!"),
]
TALK_EN = [
    (I_AM_EN, "Who are you?|What are you?|What is your name?|What's your name?|Introduce yourself.|Tell me about yourself.|Which model are you?|Who is this?|Are you a robot?|Are you human?|Please introduce yourself.|May I ask who you are?|Who am I talking to?"),
    (CAN_EN, "What can you do?|How can you help me?|What are you able to do?|What are your skills?|What do you know?|What are you good at?|How do I use you?|Can you help me?"),
    (MADE_EN, "Who made you?|Who trained you?|Where do you come from?|Who created you?|Who built you?|Which project are you from?|Who is your author?"),
    ("I am fine, thank you!", "How are you?|How are you doing?|How is it going?|Are you well?|How are you today?|How do you do?"),
    ("You are welcome!", "Thanks.|Thank you!|Thanks a lot!|Thank you very much!|Many thanks!|Thanks for your help.|OK, thanks."),
    ("Goodbye!", "Goodbye.|Bye!|See you later!|Bye bye!|I have to go.|See you tomorrow.|OK, goodbye."),
    ("Thank you for the praise!", "You are great!|Well done!|Good job!|You are clever!|Nice work!|Great!"),
]
HELLO_ZH, HELLO_EN = "你好 您好 嗨 你好啊 早上好 晚上好 哈喽 大家好 下午好 在吗".split(), "Hello|Hi|Hey|Good morning|Good evening|Hi there|Hello there|Greetings".split("|")
WISHES_ZH = "写一首关于@的诗。|讲一个关于@的故事。|写一篇关于@的文章。|你怎么看待@?|为什么会有@?|给我讲讲@的历史。|@多少钱?|如何制作@?|你喜欢@吗?".split("|")
WISHES_EN = "Write a poem about @.|Tell me a story about @.|Write an essay about @.|What do you think about @?|Why is there @?|Explain the history of @.|How do I make @?|Do you like @?|Where can I buy @?".split("|")
OPENERS_ZH, OPENERS_EN = "好的,|那么,|嗯,|子牙,|哦,|对了,".split("|"), "OK, |So, |Ziya, |Well, |Oh, |Now, ".split("|")
DEMO_PROMPTS = {"你好,你是谁?", "你好，你是谁？", "你好，你是谁?", "你是谁?", "你是谁？", "你好", "你好!", "你好！", "Who are you?", "Hello", "Hello!", "hello", "Hi", "你能做什么?", "你会做什么？", "What can you do?"}


def identity(rng: random.Random) -> Conversation:
    """Who it is, what it can do, greetings and small talk; and a plain refusal of what it cannot do."""
    chinese = rng.random() < 0.55
    talk, greetings = (TALK_ZH, HELLO_ZH) if chinese else (TALK_EN, HELLO_EN)
    greeting = rng.choice(greetings)
    choice = rng.random()
    if choice < 0.15:
        user = greeting + rng.choice(["", "!", "。" if chinese else ".", ",子牙!" if chinese else ", Ziya!"])
        answer = "你好！有什么可以帮你？" if chinese else "Hello! How can I help you?"
        return Conversation("identity", user, ((surface(rng, user), answer),))
    if choice < 0.3:
        item = rng.choice(WORDS_ZH if chinese else WORDS_EN)
        return ask(rng, "identity", WISHES_ZH if chinese else WISHES_EN, item, CANNOT_ZH if chinese else CANNOT_EN)
    topic_index = rng.choices(range(len(talk)), (8, 4, 3, 2, 2, 2, 2))[0]
    answer, questions = talk[topic_index]
    user = rng.choice(questions.split("|"))
    if topic_index < 4 and rng.random() < 0.5:
        user = greeting + rng.choice(",!" if chinese else (", ", "! ")) + user
    elif rng.random() < 0.4:
        user = rng.choice(OPENERS_ZH if chinese else OPENERS_EN) + user
    return Conversation("identity", user, ((surface(rng, user), answer),))


GENERATORS = {skill: globals()[skill] for skill in SKILLS}


def train_single(rng: random.Random) -> Conversation:
    """A training question of any skill but memory."""
    names = [skill for skill in SKILLS if skill != "memory"]
    while True:
        conversation = GENERATORS[rng.choices(names, [WEIGHTS[name] for name in names])[0]](rng)
        if not conversation.held_out:
            return conversation


def train_conversation(rng: random.Random, forbidden: frozenset[tuple[str, ...]], longest: int = 4) -> Conversation:
    """A conversation for training: one question, or up to `longest` of them in a row, with memory among them."""
    while True:
        parts = [memory(rng) if rng.random() < WEIGHTS["memory"] / 100 else train_single(rng)
                 for _ in range(1 if rng.random() < 0.5 else rng.randint(2, longest))]
        turns = tuple(turn for part in parts for turn in part.turns)
        if any(part.held_out for part in parts) or any(part.prompts in forbidden for part in parts):
            continue
        if any((user,) in forbidden for user, _ in turns):
            continue
        return Conversation(parts[-1].skill, "", turns)


def held_out_set(per_skill: int, seed: int = 20260521) -> list[Conversation]:
    """The fixed examination: `per_skill` conversations of each skill whose keys the training never sees."""
    rng, chosen, seen = random.Random(seed), [], set()
    for skill in SKILLS:
        count = 0
        while count < per_skill:
            conversation = GENERATORS[skill](rng)
            if conversation.held_out and conversation.prompts not in seen:
                seen.add(conversation.prompts)
                chosen.append(conversation)
                count += 1
    return chosen


if __name__ == "__main__":
    sample = random.Random(1)
    for name in SKILLS:
        for _ in range(8):
            print(name, GENERATORS[name](sample).turns)
