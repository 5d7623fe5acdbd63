"""Renders chat templates with Python's Jinja, set up as transformers sets it up, into test/fixtures/chat/prompts.json.

    python3 test/generate/make_prompts.py        # needs jinja2 (Debian: python3-jinja2; made with 3.1.6)

The templates have the structure of those that are published with models, in words of our own.
"""

import json
import random
from pathlib import Path

from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

SEED = 20261125
CASES = 14
OUT = Path(__file__).parent.parent / "fixtures" / "chat" / "prompts.json"

TEMPLATES = {
    # One system message goes into the first question; the last answer is ended.
    "llama-2": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Questions and answers must take turns.') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "chatml": """{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{% endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{% endif %}""",
    "chatml-trimmed": """{%- if messages[0].role != 'system' -%}
    {{- '<|im_start|>system\\nBe helpful.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {{- '<|im_start|>' ~ message.role ~ '\\n' ~ message.content | trim ~ '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' if add_generation_prompt else '' -}}
""",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "vicuna": """{%- if messages and messages[0].role == 'system' -%}
  {%- set preface = messages[0].content -%}{%- set rest = messages[1:] -%}
{%- else -%}
  {%- set preface = 'A person asks and an assistant answers.' -%}{%- set rest = messages -%}
{%- endif -%}
{{ bos_token }}{{ preface | trim }}
{%- for m in rest %} {{ 'USER: ' ~ m.content if m.role == 'user' else 'ASSISTANT: ' ~ m.content ~ eos_token }}{% endfor %} ASSISTANT:""",
    "alpaca": """{% set ns = namespace(started=false) %}
{% for m in messages %}
{% if m.role == 'system' %}
{{ m.content }}

{% elif m.role == 'user' %}
### Instruction:
{{ m.content|trim }}

{% set ns.started = true %}
{% else %}
### Response:
{{ m.content }}{{ eos_token }}

{% endif %}
{% endfor %}
{% if ns.started %}### Response:
{% endif %}""",
    "think": """{%- set ns = namespace(last=-1) -%}
{%- for m in messages[::-1] -%}
    {%- if m.role == 'user' and ns.last < 0 -%}{%- set ns.last = messages|length - 1 - loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for m in messages -%}
    {%- set content = m.content -%}
    {%- set thought = '' -%}
    {%- if m.role == 'assistant' and '</think>' in content -%}
        {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') -%}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') -%}
    {%- endif -%}
    {{- '<|im_start|>' + m.role + '\\n' -}}
    {%- if thought and loop.index0 > ns.last -%}{{- '<think>\\n' + thought + '\\n</think>\\n\\n' -}}{%- endif -%}
    {{- content + '<|im_end|>\\n' -}}
{%- endfor -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}""",
    "deepseek": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}{% set ns = namespace(is_first=false, system_prompt='') %}{%- for message in messages %}{%- if message['role'] == 'system' %}{% set ns.system_prompt = message['content'] %}{%- endif %}{%- endfor %}{{bos_token}}{{ns.system_prompt}}{%- for message in messages %}{%- if message['role'] == 'user' %}{{'<|User|>' + message['content']}}{%- endif %}{%- if message['role'] == 'assistant' and message['content'] is not none %}{% set content = message['content'] %}{% if '</think>' in content %}{% set content = content.split('</think>')[-1] %}{% endif %}{{'<|Assistant|>' + content + '<|end of sentence|>'}}{%- endif %}{%- endfor -%}{% if add_generation_prompt %}{{'<|Assistant|>'}}{% endif %}""",
    "gemma": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system messages.') }}{% endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Take turns.') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}""",
    "llama-3": """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{%- if tools is not none %}
    {{- tools | tojson(indent=4) }}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}""",
    "macros": """{%- macro turn(role, content, end=eos_token) -%}
<{{ role | upper }}>{{ content }}{{ end }}
{%- endmacro -%}
{%- for m in messages if m.role != 'system' -%}
{{ turn(m.role, m.content | replace('\\n', ' '), end=('' if loop.last else '~')) }}
{%- if loop.index > 6 %}{% break %}{% endif -%}
{%- endfor -%}
{{ messages | map(attribute='role') | join(',') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}""",
    "generation-tag": """{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{{ eos_token }}{% endgeneration %}{% else %}{{ m.role ~ ': ' ~ m.content }}
{% endif %}{% endfor %}""",
}

# Small questions to Jinja, each with what Python makes of it. `x` is what a person typed.
SNIPPETS = [
    "{{ '' != false }} {{ '' == false }} {{ 0 == false }} {{ 1 == true }} {{ '1' == 1 }} {{ none == false }}",
    "{{ 'a' == 'a' }} {{ [1, 'a'] == [1, 'a'] }} {{ (1, 2) == [1, 2] }} {{ {'a': 1} == {'a': 1.0} }} {{ nope == none }}",
    "{{ none }}|{{ nope }}|{{ true }}|{{ 1.0 }}|{{ 3 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ -7 % 3 }}|{{ 2 ** 8 }}",
    "{{ [1, 'a', none, true, 'it\\'s'] }} {{ {'k': ['v', 2.5]} }} {{ (1, 2) }} {{ 'q\"' ~ ['a\\n'] }}",
    "{{ 'ÀÉ straße ΑΣ'.lower() }} {{ 'straße'.upper() }} {{ 'it is ok'.title() }} {{ 'it is-ok (no)' | title }}",
    "{{ 'hELLO wORLD'.capitalize() }} {{ 'hELLO' | capitalize }} {{ 'x1y'.title() }}",
    "{{ ' a b  c '.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.split(none, 1) }}",
    "{{ 'xxaxx'.strip('x') }} {{ 'abcab'.lstrip('ba') }} {{ '\\ufeff a \\u00a0'.strip() | length }} {{ 'a\\nb\\r\\nc\\n'.splitlines() }}",
    "{{ 'aaa'.replace('a', 'bc') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab' | replace('', '-') }} {{ 'aaa' | replace('a', 'b', 1) }}",
    "{{ 'abc'[1] }} {{ 'abc'[-1] }} {{ 'abcdef'[1:4] }} {{ 'abcdef'[::-1] }} {{ 'abcdef'[-3:] }} {{ '😀b'[0] }} {{ '😀b' | length }} {{ [1,2,3][5:] }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'b' in 'abc' }} {{ 'z' not in 'abc' }} {{ 1 in [1, 2] }} {{ 'k' in {'k': 1} }} {{ 'a' in nope }}",
    "{{ [3, 1, 2] | sort }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A'] | sort(case_sensitive=true) }} {{ [1, 1, 2] | unique | list }} {{ [1, 2, 3] | reverse | list }}",
    "{{ [1, 2] | first }} {{ [1, 2] | last }} {{ [] | first }}| {{ 'ab' | first }} {{ 'ab' | reverse }} {{ 'abc' | list }} {{ [1, 2] | join('-') }} {{ 'abc' | join(',') }}",
    "{{ {'b': 1, 'a': [true, none, 'é\\n\"']} | tojson }} {{ {'b': 1, 'a': [1, {}]} | tojson(indent=2) }} {{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}",
    "{{ 'x' | tojson(separators=(',', ':')) }} {{ {'a': 1, 'b': 2} | tojson(separators=(',', ':')) }} {{ [] | tojson(indent=1) }}",
    "{{ nope | default('d') }} {{ '' | default('d') }}| {{ '' | default('d', true) }} {{ nope | d('e') }} {{ '12' | int }} {{ 'x' | int }} {{ '1.5' | float }} {{ 2.9 | int }}",
    "{{ 'a\\nb\\n\\nc' | indent }} {{ 'a\\nb' | indent(2, true) }} {{ ' x ' | trim }} {{ 'xay' | trim('xy') }} {{ 5 | string ~ 'x' }} {{ -3 | abs }}",
    "{{ {'b': 2, 'a': 1} | dictsort }} {{ {'b': 2, 'a': 1}.items() | list }} {{ {'b': 2}.get('x', 7) }} {{ {'b': 2}.get('x') }} {% for k, v in {'b': 2, 'a': 1}.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for i in range(3) %}{{ loop.index }}{{ loop.first }}{{ loop.last }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.cycle('a', 'b') }};{% else %}none{% endfor %}{% for i in [] %}x{% else %}none{% endfor %}",
    "{% set x = 1 %}{% for i in range(2) %}{{ x }}{% set x = 9 %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% for i in range(6) %}{% if i == 1 %}a{% continue %}{% endif %}{% if i == 3 %}z{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% macro m(a, b='B') %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{% macro box() %}<{{ caller() }}>{% endmacro %}{% call box() %}in{% endcall %}",
    "{% set block %} a {{ 1 + 1 }} {% endset %}{{ block | trim }}{% filter upper %}shout{% endfilter %}{% set a, b = [1, 2] %}{{ a }}{{ b }}",
    "{{ 'a' ~ 1 ~ none ~ true }} {{ 'ab' * 2 }} {{ [1] * 3 }} {{ [1] + [2] }} {{ 'a' 'b' }} {{ not '' }} {{ 'x' if '' else 'y' }} {{ 'x' if '' }}",
    "{{ 1 < 2 }} {{ 'a' < 'b' }} {{ 1 <= 1.0 }} {{ true and 'x' }} {{ '' or 'y' }} {{ 3 is odd }} {{ 4 is even }} {{ none is none }} {{ nope is defined }} {{ 'a' is string }} {{ 1 is number }} {{ {} is mapping }} {{ 'ab' is lower }} {{ 'A1' is upper }}",
    "{{ [{'a': 1}, {'a': 0}, {}] | selectattr('a') | list | length }} {{ [{'a': 1}, {'a': 2}] | rejectattr('a', 'eq', 1) | list }} {{ [1, '', 2] | select | list }} {{ ['x', 'y'] | map('upper') | list }} {{ [1, 2, 3] | reject('odd') | list }}",
    "{% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c is defined }} {{ dict(a=1)['a'] }} {{ {'items': 5}['items'] }}",
    "{{ range(5) | list }} {{ range(1, 6, 2) | list }} {{ range(3, 0, -1) | list }} {{ 'abcabc'.find('c') }} {{ 'abcabc'.count('bc') }} {{ '-'.join(['a', 'b']) }} {{ 'prefix-x'.removeprefix('prefix-') }}",
    "a\n  {% if true %}\n  b\n  {% endif %}\nc {%- if true %} d {% endif -%} \n e\n{# gone #}\nf\n",
    "{{ x | length }} {{ x | upper }} {{ x.split('|')[0] }} {{ x[1:3] }} {{ x | tojson }} {{ x.strip() ~ '.' }} {{ [x, 1] }}",
    # What Python refuses.
    "{{ 'a' + 1 }}",
    "{{ nope.a }}",
    "{{ nope + 'a' }}",
    "{{ 'a' < 1 }}",
    "{{ 1 / 0 }}",
    "{{ [1, 2].append(3) }}",
    "{{ 'a' | nofilter }}",
    "{{ nope() }}",
    "{{ '{}'.format.__class__.mro() }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ none.split('a') }}",
    "{% for a, b in [[1]] %}{% endfor %}",
    "{{ raise_exception('no') }}",
]

PIECES = [
    "你好", "hello ", " x", "\n", "  \n ", "<s>", "</s>", "<|im_end|>", "<|im_start|>user\n", "[INST]", "[/INST]",
    "<<SYS>>", "</think>", "<think>\nhm\n", "<human>", "😀", "\u00a0", "\ufeff", "{{ bos_token }}", "{% endfor %}",
    "\\n", "'", '"', "ΑΣ", "ß", "<|eot_id|>", "###", "\t", "\x1f", "A",
]


def environment():
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        """As far as a prompt shows it: the tag that transformers adds writes what is inside."""

        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.Scope(body, lineno=line)

    def raise_exception(message):
        raise TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(
            x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
        )

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


ENV = environment()


def render(source, **variables):
    try:
        given = {"bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": True}
        text = ENV.from_string(source).render(**given, tools=None, documents=None, **variables)
        return {"prompt": text}
    except Exception as error:
        return {"refused": type(error).__name__}


def content(rng):
    return "".join(rng.choice(PIECES) for _ in range(rng.randrange(6)))


def conversation(rng):
    system = [{"role": "system", "content": content(rng)}] if rng.random() < 0.4 else []
    turns = []
    for _ in range(rng.randrange(4)):
        turns += [{"role": "user", "content": content(rng)}, {"role": "assistant", "content": content(rng)}]
    if rng.random() < 0.1 and turns:
        del turns[rng.randrange(len(turns))]
    return [*system, *turns, {"role": "user", "content": content(rng) + "?"}]


def main():
    rng = random.Random(SEED)
    cases = []
    for name, source in TEMPLATES.items():
        fixed = [[{"role": "system", "content": ""}, {"role": "user", "content": "hi"}]]
        for messages in [*fixed, *(conversation(rng) for _ in range(CASES))]:
            cases.append({"template": name, "messages": messages, **render(source, messages=messages)})
    snippets = []
    for source in SNIPPETS:
        x = " é|</s>\n\"b"
        messages = [{"role": "user", "content": x}]
        snippets.append({"source": source, **render(source, messages=messages, x=x)})
    text = json.dumps({"templates": TEMPLATES, "cases": cases, "x": x, "snippets": snippets}, ensure_ascii=False, indent=1)
    OUT.write_text(text + "\n", encoding="utf-8")
    print(len(cases), "prompts,", len(snippets), "snippets,", len(text), "characters")


main()
