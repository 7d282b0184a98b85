"""Flags of all commands that read images."""

from absl import flags

PLATFORM = flags.DEFINE_string(
    "platform", None, "OS/ARCHITECTURE[/VARIANT], like linux/amd64: which image of an index of several; a single image must be for it."
)
INSECURE = flags.DEFINE_bool("insecure", False, "Speak plain http with the registry. With loopback that needs no flag.")
