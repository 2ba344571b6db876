"""Starts a program in circumstances that a test cannot make for itself: launch.py CIRCUMSTANCES PROGRAM ARGUMENT..."""

import ctypes
import json
import os
import resource
import signal
import sys

PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE = 1

circumstances = json.loads(sys.argv[1])
if "umask" in circumstances:
    os.umask(circumstances["umask"])
if "largest_file" in circumstances:
    # The signal that comes with the limit would end the program; Python ignores it, and that is inherited.
    resource.setrlimit(resource.RLIMIT_FSIZE, (circumstances["largest_file"],) * 2)
if circumstances.get("obey_permissions") and os.geteuid() == 0:
    # Permissions of files mean nothing to root as long as it has this capability.
    if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
        sys.exit(f"cannot give the capability up: {os.strerror(ctypes.get_errno())}")
for name, action in circumstances.get("signals", {}).items():
    signal.signal(getattr(signal, name), getattr(signal, action))
os.execv(sys.argv[2], sys.argv[2:])
