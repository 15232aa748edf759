"""Single features of Jinja, each compared with jinja2."""

VARIABLES = {
    "x": 3, "f": 2.5, "s": "hello World", "u": "Ünï çödé 漢字🙂", "t": True, "no": False, "nothing": None,
    "l": [3, 1, 2], "words": ["b", "A", "c", "a", "B"], "d": {"b": 1, "a": [1, {"z": None}], "C": "q'\"x"},
    "rows": [{"n": "x", "v": 2, "on": True}, {"n": "y", "v": 1, "on": False}, {"n": "x", "v": 3}],
    "html": "<a href=\"x\">'&'</a>", "lines": "one\n two\n\nthree\n", "empty": [], "items": "shadow",
    "has": {"items": 1, "get": 2, "keys": [1]},
}

EXPRESSIONS = r"""
1 + 2 * 3 ** 2 - 7 // 2
-7 // 2
-7 % 3
7.5 % -2
-2 ** 2
2 ** -1
1 / 4
10 / 2
1e22
1e-5
123456789012345680.0
0.1 + 0.2
100000000000000000.0 * 10
1_000 + 0x1F + 0b11 + 0o17
1 < 2 < 3
3 > 2 > 2
1 == 1.0 == true
'a' < 'b'
[1, 2] < [1, 3]
(1, 'a') == (1, 'a')
not x
not not nothing
x and s
nothing or 'other'
'a' ~ 1 ~ none ~ 2.0 ~ true ~ [1, 'x']
s if x else 'n'
s if no
(s if no) is defined
missing is defined
missing.a if missing is defined() else 'no'
missing|default('d')
''|default('d')
''|default('d', true)
none|default('d')
missing|d
d.b
d['b']
d.nope is defined
d['items'] is defined
has.items is callable
has['items']
has.get('items')
has.get('none', 5)
d.get('none')
d.items()|list
d.keys()|list
d.values()|list
d|items|list
d|dictsort
d|dictsort(true)
d|dictsort(reverse=true)
{'b': 2, 'a': 1}|dictsort(by='value')
d|tojson
d|tojson(indent=2)
d|tojson(ensure_ascii=true)
u|tojson(ensure_ascii=true)
u|tojson
d|tojson(separators=(',', ':'))
d|tojson(indent=2, separators=(',', ':'))
{'b': 1, 'a': 2}|tojson(sort_keys=true)
{1: 2, none: 3, true: 4, 1.5: 6}|tojson
[1.0, 1e30, 1e-7, 0.1, -0.0]|tojson
[[], {}, [[]]]|tojson(indent=1)
"\u00e9\x41\n\t\\"|tojson
l|sort
l|sort(reverse=true)
words|sort
words|sort(case_sensitive=true)
rows|sort(attribute='v')|map(attribute='v')|list
rows|sort(attribute='n,v')|map(attribute='v')|list
words|unique|list
words|map('upper')|join(',')
words|map('replace', 'a', 'z')|list
rows|map(attribute='on', default='-')|list
rows|selectattr('on')|list
rows|selectattr('n', 'equalto', 'x')|list|length
rows|selectattr('n', '==', 'x')|map(attribute='v')|sum
rows|rejectattr('on', 'defined')|list
rows|selectattr('n', 'in', ['y'])|list
rows|groupby('n')|length
l|select('odd')|list
l|reject('odd')|list
[0, 1, '', 'a', none]|select|list
none|map('upper')|list
'yes' if [0]|select else 'no'
l|sum
rows|sum(attribute='v')
l|min
l|max
rows|max(attribute='v')
words|min
l|first
l|last
empty|first is defined
s|first
l|length
u|length
u[3]
u[-1]
u[2:6]
u[::-1]
u[::2]
l[1:]
l[::-1]
l[-2:]
l[5:]
l[:-1]
range(5)|list
range(2, 10, 3)|list
range(5, 0, -2)|list
range(3)
(1,)
(1, 2)[0]
()
[1, [2, (3,)]]
[none, true, 1.5, 'it\'s', "q\"", 'both\'"', '\n\t\x00\x7f', 'é']
{'a': {'b': [1]}}
s|upper
s|lower
s|title
s|capitalize
'they\'re bill-friends (from)'|title
'they\'re bill\'s'.title()
'ßtraße'.upper()
u.upper()
u|upper
s|replace('o', '0')
s|replace('o', '0', 1)
s.replace('l', 'L')
s.replace('', '-')
s.replace('l', '', 1)
'  x '|trim
'xxhixx'|trim('x')
'  x '.strip()
'xxhiyx'.strip('xy')
'xxhi'.lstrip('x')
'hixx'.rstrip('x')
'  a  b c '.split()
'a,b,,c'.split(',')
'a,b,c'.split(',', 1)
'  a  b c '.split(none, 1)
'a,b,c'.rsplit(',', 1)
' a b  c '.rsplit(none, 1)
lines.splitlines()
lines.splitlines(true)
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('x')
s.startswith('he')
s.startswith(('x', 'h'))
s.endswith('ld')
s.startswith('lo', 3)
s.find('o')
s.rfind('o')
s.find('zz')
u.find('字')
s.find('o', 5)
s.index('W')
s.count('l')
s.count('')
'abc'.removeprefix('a') ~ 'abc'.removesuffix('c')
'-'.join(['a', 'b'])
['a', 1, none]|join('|')
rows|join(', ', attribute='n')
'12'.isdigit() ~ 'a1'.isalnum() ~ ' '.isspace() ~ 'A'.isupper() ~ 'é'.isalpha() ~ ''.isdigit()
'7'.zfill(3) ~ '-7'.zfill(4) ~ 'a'.ljust(3, '.') ~ 'a'.rjust(3)
'{} and {}'.format(1, 'b')
'{0}-{1}-{0}'.format('a', 'b')
'{x!r:>5}|{y:.2f}|{z:05d}|{w:,}'.format(x='q', y=1.005, z=42, w=1234567)
'{:<6}|{:^6}|{:>6}|{:*^7}'.format('a', 'b', 'c', 'd')
'{a[k]} {b.b}'.format(a={'k': 1}, b=d) if false else 'x'
'{{}}'.format()
'%s is %d, %.2f%% %5s|%-5s|%05d %x %r' % ('a', 3, 1.5, 'r', 'l', 42, 255, 'q')
'%s' % 'one'
'%(a)s' % {'a': 1}
'%s-%s'|format(1, 2)
'a\nb\n\nc'|indent
'a\nb\n\nc\n'|indent(2, true)
'a\n\nb'|indent(2, blank=true)
'a\nb'|indent('> ')
''|indent(2, first=true)
'x'|center(6)
'x'|center(7)
'foo bar baz qux'|truncate(9)
'foo bar baz qux'|truncate(9, true)
'foo bar baz qux'|truncate(11)
'a b  c'|wordcount
html|e
html|escape|e
html|safe
html|e ~ html
(html|safe) + html
html + ('<'|safe)
html|forceescape
'a b/ü?'|urlencode
'5'|int
'5.7'|int
'x'|int
'x'|int(9)
'0x1f'|int(0, 16)
' 12 '|int
3.9|int
-3.9|int
true|int
'1.5'|float
'x'|float
'x'|float(1.5)
3|float
2.5|round
3.5|round
-2.5|round
2.345|round(2)
2.341|round(2, 'ceil')
1234|round(-2)
2.7|round|int
-3|abs
-3.5|abs
1000000|filesizeformat
'abc'|reverse
l|reverse|list
'abc'|list
d|list
l|batch(2)|list
l|batch(2, 0)|list
l|slice(2)|list
l|string
5|string|length
true|string
x is number
t is number
t is integer
t is boolean
f is float
s is string
d is mapping
l is mapping
l is sequence
s is sequence
d is sequence
x is sequence
l is iterable
missing is iterable
x is iterable
nothing is none
nothing is not none
x is odd
x is even
x is divisibleby 3
x is divisibleby(2)
x is eq 3
x is equalto 3
x is gt 2
x is lt(2)
x is in [1, 3]
x in [1, 2]
x not in [1, 2]
'ell' in s
'b' in d
none in [none]
1.0 in [1]
nothing is sameas none
s is upper
'A' is upper
'upper' is filter
'defined' is test
dict(a=1, b=2)
dict([('a', 1)])
dict({'x': 1}, y=2)
[1, 2] + [3]
(1,) + (2,)
'ab' * 3
3 * 'ab'
[0] * 3
-x
+x
- x ** 2
'a' 'b' "c"
"a\
b"
l.index(2)
l.count(3)
l.copy()
namespace(a=1).a
namespace(a=1).b is defined
joiner('; ')()
d|length
d|first
d.a[1].z is none
d.a.1.z is none
d.a[1]['z']
d['a'][0]
rows.0.n
rows[0]['n'] ~ rows[-1].v
l[10] is defined
s[100] is defined
nothing ~ missing ~ 'x'
d.copy() == d
(d.items()|list)[0][1]
[d, d]|map('length')|list
[[3, 1], [2]]|map('sort')|list
[['a', 1], ['b', 2]]|map('first')|join
[['a', 1], ['b', 2]]|map(attribute=1)|list
{'a': 1}.items()
[x for_ in] if false else 1
strftime_now('%Y-%m-%d %H:%M:%S %b %d %A %j')
cycler('a', 'b').next()
s|attr('upper') is defined
'é' == 'é'
[1,2,]
{'a':1,}
'a'is defined
1if true else 2
"""

BLOCKS = [
    "{% for i in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}"
    "{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
    "{% for i in l %}{{ loop.cycle('a', 'b') }}{{ loop.changed(i > 1) }}{% endfor %}",
    "{% for i in empty %}x{% else %}none{% endfor %}",
    "{% for i in l if i > 1 %}{{ i }}/{{ loop.length }}{% else %}none{% endfor %}",
    "{% for i in l if i > 9 %}{{ i }}{% else %}none{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for k in d %}{{ k }}{% endfor %}{% for c in u %}{{ c }}.{% endfor %}{% for c in missing %}{% else %}e{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% set y = 1 %}{% for i in l %}{% set y = y + i %}{{ y }}{% endfor %}{{ y }}",
    "{% set ns = namespace(y=1) %}{% for i in l %}{% set ns.y = ns.y + i %}{% endfor %}{{ ns.y }}",
    "{% if no %}{% set y = 1 %}{% endif %}{{ y is defined }}{% if x %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, %}{{ c }}",
    "{% set x %}  block {{ s }} {% endset %}[{{ x }}]{% set z | upper | trim %} q {% endset %}[{{ z }}]",
    "{% set ns = namespace() %}{% set ns.q %}a{{ x }}{% endset %}{{ ns.q }}",
    "{% macro m(a, b=2, c='x') %}{{ a }}{{ b }}{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(a=4, c=5) }}{{ m() }}",
    "{% macro m(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
    "{% macro m(n) %}{{ n }}{% if n > 0 %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(5) }}",
    "{% macro outer() %}[{{ caller() }}]{% endmacro %}{% call outer() %}in {{ x }}{% endcall %}",
    "{% macro outer() %}[{{ caller('p', 2) }}]{% endmacro %}{% call(a, b=1) outer() %}{{ a }}{{ b }}{% endcall %}",
    "{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m.name }}",
    "{% macro m() %}{{ y }}{% endmacro %}{% set y = 1 %}{{ m() }}{% set y = 2 %}{{ m() }}",
    "{% macro m() %}{% set y = 5 %}{{ y }}{% endmacro %}{% set y = 1 %}{{ m() }}{{ y }}",
    "{% macro m(a) %}{{ a|upper }}{% endmacro %}{{ m('x') + 'y' }}{{ m('z')|length }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(*[1]) }}{{ m(**{'x': 2}) }}",
    "{% filter upper %}a{{ s }}{% endfilter %}{% filter replace('a', 'b')|upper %}aab{% endfilter %}",
    "{% with a = 1, b = x %}{{ a }}{{ b }}{% set a = 2 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% generation %}gen {{ s }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{% raw %}{{ not }} {% if %}{% endraw %}x",
    "  {%- raw -%}  {{ a }}  {%- endraw -%}  y",
    "{# comment #}a{#- x -#} b {#+ y +#} c",
    "a\n  {% if x %}\n  b\n  {% endif %}\nc\n",
    "a\n  {%+ if x %}\n  b\n  {%+ endif +%}\nc\n",
    "a\n  {%- if x -%}\n  b\n  {%- endif -%}\nc\n\n",
    "  {{ x }}\n  {{- x -}}  \n y\n",
    "  {# c #}\n  {% set a = 1 %}\n  z {% set b = 2 %}\n  {{ a }}\n",
    "a {% if x %}\n\n{% endif %}\n b",
    "\r\na\r\n{% if x %}\r\nb\r{% endif %}c\r\n",
    "\t {% if x %} \n x{% endif %}   ",
    "{{ x }}\n",
    "{{ x }}\n\n",
    "{% if x == 1 %}a{% elif x == 3 %}b{% elif x %}c{% else %}d{% endif %}",
    "{% if x and (s or no) and not nothing %}a{% else %}b{% endif %}",
    "{% set l2 = l + [9] %}{{ l2 }}{{ l }}",
    "{% set d2 = dict(d, e=5) %}{{ d2|tojson }}",
    "{% set g = l|map('string') %}{{ g|join('-') }}{{ g|join('-') }}",
    "{{ '}}' }}{{ '%}' }}{{ {'a': {'b': 1}} }}{{ {'a':{'b':{}}}['a']['b'] }}",
    "{{ x }}{{ '' }}{{ {} }}{{ [] }}{{ '{{' }}{ {x} { {",
    "{% for m in rows %}{{ loop.index ~ ': ' ~ m.n }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% for m in rows %}{% if loop.previtem is defined and loop.previtem.n == m.n %}same{% endif %}{{ m.v }}{% endfor %}",
    "{% for i in [1, 2, 3] | reverse %}{{ i }}{% endfor %}{% for k, v in {'a': 1} | items %}{{ k }}{{ v }}{% endfor %}",
    "{% for x in x, 2 %}{{ x }}{% endfor %}{{ x }}",
    "{% set j = joiner('|') %}{% for i in l %}{{ j() }}{{ i }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{% for i in l %}{{ c.next() }}{% endfor %}{{ c.reset() }}{{ c.next() }}",
]

SNIPPETS = ["{{ " + e + " }}" for e in EXPRESSIONS.replace("\\\n", "\\\n").strip().split("\n")
            if "for_" not in e and e != "\"a\\" and e != "b\""] + BLOCKS

ERRORS = [
    "{{ missing.a }}", "{{ missing + 1 }}", "{{ missing() }}", "{{ 1 + 'a' }}", "{{ 'a' + none }}", "{{ 1 < 'a' }}",
    "{{ none|length }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ x() }}", "{{ l|map('nope')|list }}",
    "{{ raise_exception('no') }}", "{% if %}{% endif %}", "{% endif %}", "{% if x %}", "{% for in l %}{% endfor %}",
    "{% for i in 5 %}{% endfor %}", "{% nope %}", "{{ x", "{% if x", "{# x", "{{ 'a }}", "{{ x x }}", "{{ | upper }}",
    "{{ x is }}", "{{ (1, 2 }}", "{{ [1 }}", "{{ {1: } }}", "{% set 1 = 2 %}", "{% set x.y = 2 %}", "{% break %}",
    "{% macro f(a, %}{% endmacro %}", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}",
    "{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{{ {[1]: 2} }}",
    "{{ 'a'.split('') }}", "{{ '%d' % 'a' }}", "{{ '%s %s' % 'a' }}", "{{ '%s' % (1, 2) }}", "{{ '{} {}'.format(1) }}",
    "{{ '{'.format(1) }}", "{{ missing|tojson }}", "{{ l|map('string')|length }}", "{{ 'a'.index('b') }}",
    "{{ range(1, 2, 0) }}", "{{ range(200000)|length }}", "{{ l|sort(nope=1) }}", "{{ s.upper(1) }}", "{{ s|replace('a') }}",
    "{{ {1, 2} }}", "{{ x.__class__.__mro__ }}", "{{ ''.__class__.__base__ }}", "{{ s.__init__.__globals__ }}",
    "{% raw %}x", "{{ [3, 'a']|sort }}", "{% call x %}{% endcall %}", "{{ f(a=1, 2) }}", "{{ none.x.y }}",
    "{{ l|selectattr|list }}", "{{ (1).x.y }}", 
]

WORDS = ["{{", "}}", "{%", "%}", " ", "-", "+", "x", "l", "for", "in", "if", "else", "endif", "endfor", "set", "=",
         "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "upper", "'", "\"", "1", "2.5", "~", "and", "not", "is",
         "defined", "\n", "macro", "endmacro", "{#", "#}", "é", "\\", "*", "**", "==", "<", "range", "loop", "%", "/"]
