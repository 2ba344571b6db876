"""An AWS emulator for tests: moto's server, held to AWS's documented behaviour.

The package adds four things to moto: a request log, faults, a control
interface (`control.py`), and strict rules (`rules/`) that make moto refuse,
delay and enrich where AWS does. Without the rules (`--plain`) moto answers as
it is.
"""
