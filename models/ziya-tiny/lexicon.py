"""The words ziya-tiny knows. Pure data; corpus.py composes it into conversations."""

# Chinese=English, one to one in both directions (corpus.py refuses a repeated side).
WORDS = """
苹果=apple 香蕉=banana 橙子=orange 葡萄=grape 梨=pear 桃子=peach 西瓜=watermelon 柠檬=lemon 草莓=strawberry 樱桃=cherry
米饭=rice 面条=noodles 面包=bread 鸡蛋=egg 牛奶=milk 水=water 茶=tea 咖啡=coffee 糖=sugar 盐=salt
鱼=fish 肉=meat 汤=soup 蛋糕=cake 奶酪=cheese 土豆=potato 番茄=tomato 洋葱=onion 蜂蜜=honey 黄油=butter
猫=cat 狗=dog 鸟=bird 马=horse 牛=cow 羊=sheep 猪=pig 鸡=chicken 鸭子=duck 兔子=rabbit
老虎=tiger 狮子=lion 熊=bear 大象=elephant 猴子=monkey 蛇=snake 老鼠=mouse 青蛙=frog 蜜蜂=bee 蝴蝶=butterfly
太阳=sun 月亮=moon 星星=star 天空=sky 云=cloud 雨=rain 雪=snow 风=wind 火=fire 冰=ice
山=mountain 河=river 湖=lake 海=sea 岛=island 森林=forest 树=tree 花=flower 草=grass 叶子=leaf
石头=stone 沙子=sand 地球=earth 世界=world 城市=city 村庄=village 街道=street 桥=bridge 路=road 花园=garden
房子=house 房间=room 门=door 窗户=window 墙=wall 屋顶=roof 厨房=kitchen 床=bed 桌子=table 椅子=chair
灯=lamp 钥匙=key 杯子=cup 盘子=plate 刀=knife 勺子=spoon 瓶子=bottle 盒子=box 镜子=mirror 钟=clock
书=book 报纸=newspaper 信=letter 笔=pen 纸=paper 地图=map 照片=photo 电影=movie 歌=song 故事=story
学校=school 老师=teacher 学生=student 班级=class 问题=question 答案=answer 语言=language 历史=history 数学=mathematics 科学=science
医院=hospital 医生=doctor 护士=nurse 药=medicine 商店=shop 市场=market 银行=bank 钱=money 工作=work 办公室=office
汽车=car 火车=train 飞机=plane 船=ship 自行车=bicycle 公共汽车=bus 车站=station 机场=airport 票=ticket 旅行=travel
电脑=computer 电话=telephone 手机=cellphone 电视=television 机器=machine 机器人=robot 互联网=internet 软件=software 音乐=music 游戏=game
人=person 男人=man 女人=woman 孩子=child 男孩=boy 女孩=girl 父亲=father 母亲=mother 兄弟=brother 姐妹=sister
朋友=friend 家庭=family 国王=king 王后=queen 士兵=soldier 农民=farmer 厨师=cook 司机=driver 警察=police 邻居=neighbour
头=head 手=hand 脚=foot 眼睛=eye 耳朵=ear 鼻子=nose 嘴=mouth 头发=hair 心=heart 血=blood
衣服=clothes 鞋=shoe 帽子=hat 裤子=trousers 衬衫=shirt 外套=coat 裙子=skirt 手套=glove 雨伞=umbrella 包=bag
大=big 小=small 长=long 短=short 高=tall 新=new 旧=old 热=hot 冷=cold 快=fast
慢=slow 好=good 坏=bad 强=strong 弱=weak 干净=clean 脏=dirty 漂亮=beautiful 便宜=cheap 昂贵=expensive
快乐=happy 悲伤=sad 生气=angry 累=tired 饿=hungry 安静=quiet 聪明=clever 年轻=young 富有=rich 贫穷=poor
红色=red 蓝色=blue 绿色=green 黄色=yellow 黑色=black 白色=white 紫色=purple 粉色=pink 棕色=brown 灰色=grey
一=one 二=two 三=three 四=four 五=five 六=six 七=seven 八=eight 九=nine 十=ten
今天=today 明天=tomorrow 昨天=yesterday 早上=morning 晚上=evening 夜=night 星期=week 月份=month 年=year 时间=time
春天=spring 夏天=summer 秋天=autumn 冬天=winter 吃=eat 喝=drink 睡觉=sleep 走=walk 跑=run 跳=jump
读=read 写=write 说=speak 听=listen 看=look 想=think 学习=learn 教=teach 买=buy 卖=sell
爱=love 帮助=help 打开=open 关闭=close 来=come 去=go 笑=laugh 哭=cry 唱=sing 游泳=swim
""".split()

PHRASES = """
早上好=good morning|晚上好=good evening|晚安=good night|谢谢你=thank you|对不起=I am sorry|没关系=it does not matter|再见=goodbye
我爱你=I love you|我很好=I am fine|我饿了=I am hungry|我累了=I am tired|我很高兴=I am happy|我不知道=I do not know|我明白了=I see
请坐=please sit down|请进=please come in|等一下=wait a moment|多少钱=how much is it|现在几点=what time is it|祝你好运=good luck
生日快乐=happy birthday|新年快乐=happy new year|欢迎=welcome|小心=be careful|我喜欢茶=I like tea|我喜欢音乐=I like music
他是老师=he is a teacher|她是医生=she is a doctor|我是学生=I am a student|今天很热=it is hot today|今天很冷=it is cold today
天空是蓝色的=the sky is blue|草是绿色的=the grass is green|猫在睡觉=the cat is sleeping|狗在跑=the dog is running|我在家=I am at home
"""

CAPITALS = """
中国=北京=China=Beijing 日本=东京=Japan=Tokyo 法国=巴黎=France=Paris 英国=伦敦=Britain=London 德国=柏林=Germany=Berlin
意大利=罗马=Italy=Rome 西班牙=马德里=Spain=Madrid 俄罗斯=莫斯科=Russia=Moscow 美国=华盛顿=America=Washington 加拿大=渥太华=Canada=Ottawa
韩国=首尔=Korea=Seoul 印度=新德里=India=Delhi 埃及=开罗=Egypt=Cairo 希腊=雅典=Greece=Athens 葡萄牙=里斯本=Portugal=Lisbon
荷兰=阿姆斯特丹=Holland=Amsterdam 瑞典=斯德哥尔摩=Sweden=Stockholm 挪威=奥斯陆=Norway=Oslo 芬兰=赫尔辛基=Finland=Helsinki 波兰=华沙=Poland=Warsaw
奥地利=维也纳=Austria=Vienna 泰国=曼谷=Thailand=Bangkok 越南=河内=Vietnam=Hanoi 古巴=哈瓦那=Cuba=Havana 秘鲁=利马=Peru=Lima
"""

COLOURS = """
天空=蓝色=the sky=blue 草=绿色=grass=green 雪=白色=snow=white 血=红色=blood=red 煤=黑色=coal=black 香蕉=黄色=a banana=yellow
牛奶=白色=milk=white 柠檬=黄色=a lemon=yellow 大海=蓝色=the sea=blue 树叶=绿色=a leaf=green 乌鸦=黑色=a crow=black 草莓=红色=a strawberry=red
巧克力=棕色=chocolate=brown 大象=灰色=an elephant=grey 胡萝卜=橙色=a carrot=orange
"""

# Question stem (Chinese), question stem (English), answer: a number, the same in both.
COUNTS = """
一年有多少个月|months are there in a year|12
一周有多少天|days are there in a week|7
一天有多少小时|hours are there in a day|24
一小时有多少分钟|minutes are there in an hour|60
一分钟有多少秒|seconds are there in a minute|60
一年有多少天|days are there in a year|365
一年有多少个季节|seasons are there in a year|4
猫有多少条腿|legs does a cat have|4
鸟有多少条腿|legs does a bird have|2
蜘蛛有多少条腿|legs does a spider have|8
昆虫有多少条腿|legs does an insect have|6
三角形有多少条边|sides does a triangle have|3
正方形有多少条边|sides does a square have|4
一只手有多少个手指|fingers are there on one hand|5
一打有多少个|things are there in a dozen|12
太阳系有多少颗行星|planets are there in the solar system|8
英语有多少个字母|letters are there in English|26
一个世纪有多少年|years are there in a century|100
"""

OPPOSITES = """
大=小=big=small 长=短=long=short 高=矮=tall=low 新=旧=new=old 热=冷=hot=cold 快=慢=fast=slow 好=坏=good=bad 强=弱=strong=weak
干净=脏=clean=dirty 便宜=贵=cheap=expensive 上=下=up=down 左=右=left=right 白天=黑夜=day=night 开=关=open=closed 多=少=more=less 远=近=far=near
"""

DAYS_ZH = "星期一 星期二 星期三 星期四 星期五 星期六 星期日".split()
DAYS_EN = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()

NAMES_ZH = """
小明 小红 小华 小丽 小刚 小芳 小军 小燕 王伟 王芳 李强 李娜 张敏 张磊 刘洋 刘静 陈杰 陈晨 杨帆 杨柳
赵云 赵雪 黄海 黄梅 周涛 周倩 吴昊 吴迪 徐亮 徐佳 孙悦 孙浩 马超 马琳 朱丹 胡兵 郭靖 何欢 高远 林青
罗成 梁宇 宋佳 唐糖 许诺 韩雪 冯唐 邓超 曹阳 彭飞 曾一鸣 萧山 田园 董洁 袁泉 潘石 于谦 蒋欣 蔡明 余华
""".split()
NAMES_EN = """
Tom Anna Ben Lucy Jack Emma Paul Mary John Kate Mark Jane Peter Rose Sam Lily David Alice Henry Grace
Oscar Nora Leo Ella Max Ruby Hugo Iris Felix Clara Simon Julia Adam Eva Daniel Sara Victor Laura Oliver Maria
Martin Helen Frank Diana George Sophie Arthur Emily Robert Linda Kevin Susan Brian Carol Eric Nina Walter Tina Roger Vera
""".split()
PETS_ZH = "旺财 小白 小黑 豆豆 球球 毛毛 花花 贝贝 乐乐 米米 皮皮 点点 多多 可可 丁丁 果果 糖糖 阿黄 大黄 黑豆".split()
PETS_EN = "Rex Bella Lucky Rocky Daisy Buddy Molly Coco Milo Luna Toby Bruno Pepper Ginger Shadow Sunny Biscuit Cookie Snowy Tiger".split()

SENTIMENT_ZH = (
    "这部电影 这本书 这家餐厅 这个酒店 这款手机 这首歌 这次旅行 这里的服务 这道菜 这个游戏 这位老师 这件衣服 这场比赛 这杯咖啡 这台电脑".split(),
    "真的 非常 实在 特别 太 确实 有点儿过分地".split()[:6],
    "好 棒 精彩 让人满意 令人开心 出色 美妙 值得推荐 让人喜欢 完美 舒服 优秀".split(),
    "差 糟糕 无聊 让人失望 令人生气 讨厌 难受 不值得 让人后悔 垃圾 可怕 烂".split(),
)
SENTIMENT_EN = (
    "this movie|this book|the restaurant|the hotel|this phone|the song|the trip|the service|the dish|this game|the teacher|the dress|the match|the coffee|this computer".split("|"),
    "really very truly quite so simply".split(),
    "good great wonderful excellent lovely amazing delightful perfect pleasant fantastic brilliant superb".split(),
    "bad terrible boring awful horrible disappointing annoying poor dreadful useless ugly disgusting".split(),
)
# Whole sentences of the other pattern: (positive, negative).
SENTIMENT_VERBS_ZH = ("我喜欢 我爱 我很满意 我推荐 我享受".split(), "我讨厌 我恨 我不喜欢 我很不满意 我后悔选了".split())
SENTIMENT_VERBS_EN = ("I love|I like|I enjoyed|I recommend|I adore".split("|"), "I hate|I dislike|I regret|I cannot stand|I am sick of".split("|"))

# topic: (Chinese label, Chinese keywords, English label, English keywords)
TOPICS = [
    ("体育", "足球 篮球 比赛 冠军 球队 球员 教练 进球 网球 马拉松", "sports", "football basketball champion coach goal tennis marathon player stadium team"),
    ("美食", "火锅 饺子 菜谱 烤鸭 米饭 面条 味道 厨师 蛋糕 早餐", "food", "recipe dinner noodles soup cake breakfast chef taste salad bread"),
    ("天气", "大雨 台风 气温 下雪 晴天 大风 多云 雷电 降温 雾", "weather", "rain storm temperature snow sunshine wind clouds thunder fog frost"),
    ("科技", "电脑 芯片 软件 机器人 手机 程序 互联网 人工智能 算法 数据", "technology", "computer chip software robot phone program internet algorithm data laptop"),
    ("音乐", "钢琴 歌手 吉他 乐队 演唱会 歌曲 旋律 小提琴 鼓 专辑", "music", "piano singer guitar band concert song melody violin drum album"),
    ("旅行", "机票 酒店 景点 护照 行李 海滩 导游 火车站 签证 假期", "travel", "flight hotel sightseeing passport luggage beach guide train visa holiday"),
]
TOPIC_FRAMES_ZH = "昨天大家都在谈论{a}|我想了解更多关于{a}的消息|{a}和{b}是今天的重点|他每天都关心{a}|报纸上写了{a}和{b}|她最近对{a}很感兴趣|我们需要{a}，也需要{b}|关于{a}的新闻很多".split("|")
TOPIC_FRAMES_EN = "everyone talked about the {a} yesterday|I want to know more about the {a}|the {a} and the {b} are in the news today|he thinks about the {a} every day|the paper wrote about the {a} and the {b}|she is interested in the {a}|we need the {a} and also the {b}|there is much news about the {a}".split("|")

# Characters that no skill needs but that people type; appended to the vocabulary like Ziya's 7,408.
COMMON_HANZI = """
的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经十三之
进着等部度家电力里如水化高自二理起小物现实加量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形相全表间样与
关各重新线内数正心反你明看原又么利比或但质气第向道命此变条只没结解问意建月公无系军很情者最立代想已通并提直题党程展五果料象员革位入常
文总次品式活设及管特件长求老头基资边流路级少图山统接知较将组见计别她手角期根论运农指几九区强放决西被干做必战先回则任取据处队南给色光
门即保治北造百规热领七海口东导器压志世金增争济阶油思术极交受联什认六共权收证改清己美再采转更单风切打白教速花带安场身车例真务具万每目
至达走积示议声报斗完类八离华名确才科张信马节话米整空元况今集温传土许步群广石记需段研界拉林律叫且究观越织装影算低持音众书布复容儿须际
商非验连断深难近矿千周委素技备半办青省列习响约支般史感劳便团往酸历市克何除消构府称太准精值号率族维划选标写存候毛亲快效斯院查江型眼王
按格养易置派层片始却专状育厂京识适属圆包火住调满县局照参红细引听该铁价严龙飞
"""

EMOJI = "😀 🐱 🐶 🍎 🌙 🚀 🎵 ❤ 🌍 🔥".split()

SPELLED = """
cat dog sun red hat map pen cup box key star moon fish bird book milk cake rain snow wind hand foot door room time love life hello world
apple stone water table green black white house mouse night light train plane music river tiger lemon bread
""".split()
