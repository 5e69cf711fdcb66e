"""CLI: the `sealflow` command. Each command's module is imported only when it is asked for."""

from __future__ import annotations

import importlib
import logging
import os
import resource
import sys
from typing import Any, Final

import click

from sealflow import __version__
from sealflow.cli.screen import print_error
from sealflow.errors import (
    ConfigError,
    ModelError,
    RefusedError,
    SealflowError,
    UnavailableError,
    VerificationError,
)
from sealflow.extras import install_advice

COMMANDS: Final = {
    "up": ("sealflow.cli.operator.up", "Start a whole cluster on this machine."),
    "init": ("sealflow.cli.operator.up", "Make the files that a cluster elsewhere needs."),
    "flink": (
        "sealflow.cli.operator.flink",
        "Submit, watch, stop the engine's job on Apache Flink.",
    ),
    "status": ("sealflow.cli.operator.status", "Show what a running cluster does."),
    "verify": ("sealflow.cli.owner.verify", "Verify a service and say what was proved."),
    "policy": ("sealflow.cli.owner.verify", "Check policy files."),
    "infer": ("sealflow.cli.owner.infer", "Seal images, have them classified, open the answers."),
    "bench": ("sealflow.cli.bench.command", "Push N images, pull N answers, measure."),
    "doctor": ("sealflow.cli.operator.doctor", "Say what this machine lacks, and how to mend it."),
    "enclave": ("sealflow.cli.operator.enclave", "Build, sign and measure SGX enclaves."),
    "revoke": ("sealflow.cli.owner.model", "Revoke a worker, a model or a key."),
    "log": ("sealflow.cli.owner.audit", "Fetch, check and show the key broker's log."),
    "receipt": ("sealflow.cli.owner.audit", "Check receipts offline."),
    "model": ("sealflow.cli.owner.model", "Pack, inspect, publish and list models."),
    "keys": (
        "sealflow.cli.operator.keys",
        "Make and rotate certificates, passwords, signing keys.",
    ),
    "example": ("sealflow.cli.owner.example", "Write an example model and photos into a folder."),
    "chart": ("sealflow.cli.operator.chart", "Write the Helm chart for Kubernetes into a folder."),
}
_OF_SERVERS: Final = frozenset({"up", "doctor", "flink"})
"""Commands that need the extra `server`; the others need `client`."""
_ALIASES: Final = {"trial": "init"}
"""Old names that still work; `--help` does not show them."""
_ASKED: Final = "sealflow.command"

EXIT_CODES: Final = (
    (ConfigError, 2),
    (VerificationError, 3),
    (RefusedError, 4),
    (ModelError, 5),
    (UnavailableError, 6),
    (SealflowError, 1),
)
"""Exit codes by error, the first match counts. 2 is also click's own code for wrong usage."""


class _Commands(click.Group):
    """Imports a command when it is called, so that `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        ctx.meta[_ASKED] = name
        module = importlib.import_module(COMMANDS[name][0])
        command: click.Command = getattr(module, name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run one command.

        Raises: ConfigError that says which extra to install, when the command lacks a library.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            wanted = "server" if ctx.meta.get(_ASKED) in _OF_SERVERS else "client"
            advice = install_advice(error, wanted)
            if advice is None:
                raise
            raise ConfigError(advice) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sealflow")
def cli() -> None:
    """Confidential serving of machine-learning models.

    Clients verify the service, then seal each request; only an attested worker opens it.
    """


def main() -> None:
    """Run the command line; every error of ours ends as two lines, or as JSON, and an exit code.

    Keys and plaintext are in this process: it leaves no image of its memory when it crashes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Commands say it themselves, once.
    logging.getLogger("sealflow.owner.simulation").setLevel(logging.ERROR)
    # https://no-color.org; click by itself looks only at whether this is a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        cli(prog_name="sealflow", color=color)
    except SealflowError as error:
        print_error(error, as_json="--json" in sys.argv, color=color)
        sys.exit(exit_code(error))


def exit_code(error: SealflowError) -> int:
    """Return the exit code of a command that ends with an error."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


if __name__ == "__main__":
    main()
