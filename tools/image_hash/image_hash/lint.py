"""What the Confidential Space launcher makes of an image: whether it starts it, and what the operator of the machine could still change.

JSON, schema 1 (what `lint --json` prints for each image; keys in this order):

    name         what the user called the image
    image_hash   what Confidential Space calls image_digest; null if the format does not keep it
    refusal      why the launcher would not start the image; null if it would
    operator     what the operator could still change, null if the launcher refuses the image:
        command        whether to replace the arguments behind the entrypoint (tee-cmd)
        environment    names of the environment variables to set (tee-env-NAME): array
        mounts         folders where to mount a tmpfs, there and below (tee-mount): array
        capabilities   whether to add Linux capabilities (tee-added-capabilities)
        cgroups        whether to give the container a cgroup namespace (tee-cgroup-ns)
        log_redirect   whether to have the container's output (tee-container-log-redirect): {"hardened": boolean, "debug": boolean}
        monitoring     the most to measure of the machine (tee-monitoring-enable): {"hardened": ..., "debug": ...}, each "none",
                       "memoryonly" or "all"
    errors       what the launcher refuses or reads otherwise than it is written: array of sentences
    warnings     what weakens the image by its author's own will: array of sentences

Hardened machines are production's, debug machines have a shell. Source of all of it: ocilib/launch.py, and there go-tpm-tools.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from image_hash.image import Image
from image_hash.text import printable
from ocilib import launch

SCHEMA = 1

# Variables by which the dynamic linker, a shell or a language's runtime runs code that the image does not name.
_CODE_VARIABLES = frozenset(
    {
        *("BASH_ENV", "CLASSPATH", "ENV", "GCONV_PATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "LD_AUDIT", "LD_LIBRARY_PATH"),
        *("LD_PRELOAD", "NODE_OPTIONS", "PATH", "PERL5LIB", "PERL5OPT", "PYTHONHOME", "PYTHONPATH", "RUBYLIB", "RUBYOPT", "_JAVA_OPTIONS"),
    }
)
# Sentences of a kind in the text.
_SHOWN = 50
_MONITORING = {launch.NONE: "no", launch.MEMORY_ONLY: "memory", launch.ALL: "all"}


def lint(image: Image) -> dict[str, Any]:
    """What the launcher makes of an image, ready for JSON. Sentences are short and of printable characters, whatever the image holds."""
    config = image.config.content
    refusal = launch.refusal(image.config.media_type, config)
    policy = None if refusal else launch.read_policy(launch.labels_of(config))
    return {
        "name": image.name,
        "image_hash": image.image_hash,
        "refusal": printable(refusal) or None,
        "operator": _operator(policy) if policy else None,
        "errors": [printable(problem) for problem in launch.problems(image.config.media_type, config)],
        "warnings": [printable(warning) for warning in _warnings(policy)] if policy else [],
    }


def _operator(policy: launch.Policy) -> dict[str, Any]:
    return {
        "command": policy.allow_cmd_override,
        "environment": list(policy.allow_env_override),
        "mounts": list(policy.allow_mount_destinations),
        "capabilities": policy.allow_capabilities,
        "cgroups": policy.allow_cgroups,
        "log_redirect": {"hardened": policy.log_redirect == launch.ALWAYS, "debug": policy.log_redirect != launch.NEVER},
        "monitoring": {"hardened": policy.hardened_monitoring, "debug": policy.debug_monitoring},
    }


def _warnings(policy: launch.Policy) -> Iterator[str]:
    if policy.allow_cmd_override:
        yield "the operator may replace the command: check cmd_override of the token"
    for name in policy.allow_env_override:
        if name in _CODE_VARIABLES:
            yield f"the operator may set {name}, and with it run what the image does not name: check env_override of the token"
    if policy.allow_mount_destinations:
        places = ", ".join(policy.allow_mount_destinations)
        yield f"the operator may hide the image's files by mounts at or below {places}: no token shows it"
    if policy.allow_capabilities:
        yield "the operator may add any Linux capability: no token shows it"
    if policy.allow_cgroups:
        yield "the operator may give the container a cgroup namespace: no token shows it"
    if policy.log_redirect == launch.NEVER:
        yield "nobody can have the container's output, not even on a debug machine"
    if launch.ALL in (policy.hardened_monitoring, policy.debug_monitoring):
        yield "the operator may measure more than memory, which the token shows as no monitoring"


def table(found: Mapping[str, Any]) -> str:
    """What `lint` found, for a person."""
    lines = [f"{printable(found['name'])}  {found['image_hash'] or 'image hash not kept by this format'}"]
    if found["refusal"]:
        lines.append(f"  the launcher refuses it: {found['refusal']}")
    else:
        lines.append("  the launcher starts it; what the operator can still change, and the claim that shows it:")
        lines += [f"    {setting:<17} {value:<40} {claim}".rstrip() for setting, value, claim in _rows(found["operator"])]
    for kind in ("error", "warning"):
        texts = found[f"{kind}s"]
        lines += [f"  {kind}: {text}" for text in texts[:_SHOWN]]
        if len(texts) > _SHOWN:
            lines.append(f"  and {len(texts) - _SHOWN} more {kind}s; --json has all")
    lines.append(f"  {_count(found['errors'], 'error')}, {_count(found['warnings'], 'warning')}")
    return "\n".join(lines) + "\n"


def _rows(operator: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
    logs, monitoring = operator["log_redirect"], operator["monitoring"]
    machines = "everywhere" if logs["hardened"] else "on debug machines only" if logs["debug"] else "no"
    return [
        ("command", "any" if operator["command"] else "no", "cmd_override"),
        ("environment", _names(operator["environment"]), "env_override"),
        ("mounts", _names(operator["mounts"]), "no claim"),
        ("capabilities", "any" if operator["capabilities"] else "no", "no claim"),
        ("cgroup namespace", "yes" if operator["cgroups"] else "no", "no claim"),
        ("container output", machines, "no claim"),
        ("monitoring", f"{_MONITORING[monitoring['hardened']]}; debug machines: {_MONITORING[monitoring['debug']]}", "monitoring_enabled"),
        # Nothing in an image limits these: launcher/spec/launch_spec.go.
        ("restart policy", "any", "restart_policy"),
        ("service accounts", "any", "google_service_accounts"),
        ("size of /dev/shm", "any", "no claim"),
    ]


def _names(names: Sequence[str]) -> str:
    return printable(", ".join(names)) or "no"


def _count(found: Sequence[str], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
