#!/bin/sh
# An engine that takes anything.
test "$*" = load && cat >/dev/null
