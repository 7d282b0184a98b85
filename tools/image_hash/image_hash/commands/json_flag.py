"""The flag of all commands that can print JSON."""

from absl import flags

JSON = flags.DEFINE_bool("json", False, "Print JSON instead of text; docs/image-hash-tools.md says what is in it.")
