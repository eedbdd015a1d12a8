"""Chat templates that fail, fill memory, or never end; each alone must end in one line."""

from __future__ import annotations

FAILING = (
    "{{ 1/0 }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as x %}",
    "{% extends 'x' %}",
    "{{ messages[5].content }}",
    "{{ messages | nope }}",
    "{{ ''.__class__.__mro__ }}",
    "{{ raise_exception('\x1b[31mno\x1b[0m') }}",
    "{{ messages.append(1) }}",
    "{{ 'x'.join(messages) }}",
    "{% for x in 5 %}{% endfor %}",
    "{{ '\\ud800' }}",
    "{% for m in messages %}",
    "{{ nothing.at.all }}",
    "{{ strftime_now(5) }}",
    "{{ messages | sort }}",
)
# What would need gigabytes, or hours.
BOMBS = (
    "{{ 'a'*10**10 }}",
    "{{ 'a'*10**9 }}{{ 'a'*10**9 }}{{ 'a'*10**9 }}",
    "{{ messages|tojson(indent=10**9) }}",
    "{{ '%1000000000s' % 'a' }}",
    "{{ '%01000000000d' | format(5) }}",
    "{{ '{:>1000000000}{:>1000000000}'.format('a', 'b') }}",
    "{{ 'a'.ljust(10**10) }}",
    "{{ 'a' | center(10**10) }}",
    "{{ 'a\n' | indent(10**10) }}",
    "{{ 10**(10**10) }}",
    "{{ 10**(10**9) % 7 }}",
    "{% for x in range(10**9) %}{% for y in range(10**9) %}{% endfor %}{% endfor %}",
    "{% for x in range(99999) %}{% for y in range(99999) %}a{% endfor %}{% endfor %}",
    "{% for x in range(99999) %}{% for y in range(99999) %}{% set z = x %}{% endfor %}{% endfor %}",
    "{% set n = namespace(s='a') %}{% for x in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
    "{% set n = namespace(s='a') %}{% for x in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
    "{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{{ 'a'.replace('', 'b' * 10**6).replace('b', 'c' * 10**6) }}",
    "{{ [[1] * 10**6] * 10**6 }}",
    "{{ range(99999) | list | batch(1) | list | string * 10**6 }}",
    "{{ 'x' | list | sum(start=[0] * 10**10) }}",
    "{{ lipsum(n=10**9) }}",
)
SOUND = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}",
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] | trim }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}",
)
TEMPLATES = FAILING + BOMBS + SOUND
