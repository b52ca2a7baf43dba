"""Templates always end: in bounded time and memory, and on a small stack."""

from __future__ import annotations

import subprocess
import sys

import msgspec

BOMBS = [
    "{{ 'x' * 1000000000 }}",
    "{{ ('x' * 100000) * 100000 }}",
    "{{ [1] * 100000000 }}",
    "{{ x.l * 100000000 }}",
    "{{ [[[1] * 1000] * 1000] * 1000 }}",
    "{{ range(1000000000) }}",
    "{{ range(100000)|map('string')|list }}",
    "{{ range(100000)|join(x.t)|length }}",
    "{{ 2 ** 10000 }}",
    "{{ x.t|indent(1000000000) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ x.t|replace('y', x.t) }}",
    "{{ x.t.replace('y', x.t) }}",
    "{{ range(100000)|batch(1000000000, 'x')|list }}",
    "{% for i in range(100000) %}{% for i in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(9000) %}{{ x.t }}{% endfor %}",
    "{% for i in range(9000) %}{% set q = range(100000)|default(1) %}{% endfor %}",
    "{% for i in range(9000) %}{% if x.t|upper == 'q' %}{% endif %}{% endfor %}",
    "{% for i in range(9000) %}{{ x.l|sort|tojson|length }}{% endfor %}",
    "{% set l = [1] %}" + "{% set l = [l, l] %}" * 40 + "{{ l }}",
    "{% set l = [1] %}" + "{% set l = l + l %}" * 40 + "{{ l }}",
    "{% set l = [1] %}" + "{% set l = l|zip(l)|list %}" * 40 + "{{ l }}",
    "{% set l = [1] %}" + "{% set l, m = [l, l], 1 %}" * 40 + "{{ l }}",
    "{% set l = [1] %}" + "{% set l = dict(a=l, b=l) %}" * 40 + "{{ l == l }}",
    "{% set l = [1] %}" + "{% with l = [l, l] %}" * 40 + "{{ l }}" + "{% endwith %}" * 40,
    "{% set l = [1] %}" + "{% for l in [[l, l]] %}" * 40 + "{{ l }}" + "{% endfor %}" * 40,
    "{% set l = [1] %}" + "{% set l = [l] %}" * 12000 + "{{ l }}",
    "{{ [" + "x," * 1000 + "] }}",
    "{{ " + "(" * 3000 + ")" * 900 + " }}",
    "{% if x %}" * 9000 + "{% endif %}" * 9000,
    "{% if x %}" + "{% elif x %}" * 9000 + "{% endif %}",
    "{{ " + "not " * 50000 + "1 }}",
    "{{ x" + ".a" * 50000 + " }}",
    "{{ " + "1+" * 50000 + "1 }}",
    "{% raw %}" * 25000,
    "{{ '" * 60000,
]

IN_A_PROCESS_OF_ITS_OWN = """
import resource, sys, threading
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
import msgspec
from hookline.rules import templates
threading.stack_size(2 << 20)
data = {"x": {"t": "y" * 500_000, "l": ["a"] * 100_000}}

def work():
    for bomb in msgspec.json.decode(sys.stdin.buffer.read()):
        try:
            templates.compile(bomb, ("x",), html=False).render(data)
        except templates.TemplateError as error:
            print("refused", str(error)[:100])
        else:
            print("NOT REFUSED", bomb[:100])

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def run_alone(sources: list[str]) -> list[str]:
    """What became of each source, in a process with little memory, time and stack."""
    command = [sys.executable, "-c", IN_A_PROCESS_OF_ITS_OWN]
    run = subprocess.run(command, input=msgspec.json.encode(sources), capture_output=True, check=False)  # noqa: S603 - ours
    assert run.returncode == 0, run.stderr[-300:]
    lines = run.stdout.decode().splitlines()
    assert len(lines) == len(sources)
    return lines


def test_every_bomb_is_refused_within_a_gibibyte_a_minute_and_a_small_stack() -> None:
    assert [line for line in run_alone(BOMBS) if not line.startswith("refused")] == []


def test_as_deep_as_is_allowed_still_compiles_on_a_small_stack() -> None:
    chain = "{% if 0 %}" + "{% elif 0 %}" * 499 + "{% endif %}"
    deepest = "{% if x %}" * 140 + chain + "{{ " + "-" * 3900 + "1 }}" + "{% endif %}" * 140
    long = ["{{ x" + ".a" * 1990 + " }}", "{{ " + "1+" * 1990 + "1 }}", "{{ 'a'" + "~'a'" * 990 + " }}"]
    assert [line for line in run_alone([deepest, *long]) if not line.startswith("NOT REFUSED")] == []
