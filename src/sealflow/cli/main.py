"""CLI: the `sealflow` command. The module of a subcommand is imported when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import resource
import sys
from typing import Any, Final, NoReturn

import click

from sealflow import __version__
from sealflow.cli.screen import print_error
from sealflow.defects import EXIT_DEFECT, DefectError, print_traceback, report_threads
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
    "init": ("sealflow.cli.operator.up", "Write the files that a cluster on other machines needs."),
    "flink": (
        "sealflow.cli.operator.flink",
        "Submit, show and stop the engine's job on Apache Flink.",
    ),
    "status": ("sealflow.cli.operator.status", "Show processes, models and queue of a cluster."),
    "release": (
        "sealflow.cli.operator.status",
        "Have a model tried again that was quarantined.",
    ),
    "verify": ("sealflow.cli.owner.verify", "Verify a service and show what was proved."),
    "policy": ("sealflow.cli.owner.verify", "Check policy files."),
    "infer": ("sealflow.cli.owner.infer", "Classify images: seal and send them, open the replies."),
    "bench": ("sealflow.cli.bench.command", "Send N images, check N replies, measure."),
    "doctor": ("sealflow.cli.operator.doctor", "Check this machine and say how to fix problems."),
    "state": ("sealflow.cli.operator.state", "Return a key broker to an earlier sealed state."),
    "enclave": ("sealflow.cli.operator.enclave", "Build, sign and measure SGX enclaves."),
    "revoke": ("sealflow.cli.owner.model", "Revoke workers, models, keys or grants."),
    "log": ("sealflow.cli.owner.audit", "Fetch, check and show the key broker's log."),
    "receipt": ("sealflow.cli.owner.audit", "Check receipts offline."),
    "verifier": ("sealflow.cli.owner.verifier", "Appraise a service for others, sign passports."),
    "model": ("sealflow.cli.owner.model", "Pack, inspect, publish and list models."),
    "tenants": ("sealflow.cli.owner.tenants", "Serve tenants: make and show their tokens."),
    "keys": (
        "sealflow.cli.operator.keys",
        "Make and rotate certificates, passwords and signing keys.",
    ),
    "example": ("sealflow.cli.owner.example", "Write an example model and photos into a folder."),
    "chart": ("sealflow.cli.operator.chart", "Write the Helm chart for Kubernetes into a folder."),
}
_SERVER_COMMANDS: Final = frozenset({"up", "doctor", "flink", "state", "release"})
"""Commands that need the extra `server`; the others need `client`."""
_ALIASES: Final = {"trial": "init"}
"""Previous names that still work; `--help` does not list them."""
_COMMAND_KEY: Final = "sealflow.command"
_INSTALL_HINT: Final = (
    "Run that in a shell, then this command again, with the `sealflow` of the same environment."
)

EXIT_CODES: Final = (
    (ConfigError, 2),
    (VerificationError, 3),
    (RefusedError, 4),
    (ModelError, 5),
    (UnavailableError, 6),
    (SealflowError, 1),
)
"""Exit codes by error class; the first match applies. 2 is also click's code for wrong usage."""


class _Commands(click.Group):
    """A group that imports a subcommand when it is called, so that `--help` is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order in which they are usually needed."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of this name."""
        name = _ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        ctx.meta[_COMMAND_KEY] = name
        module = importlib.import_module(COMMANDS[name][0])
        command: click.Command = getattr(module, name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises: ConfigError with the command that installs it, when a library is missing.
        """
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            extra = "server" if ctx.meta.get(_COMMAND_KEY) in _SERVER_COMMANDS else "client"
            advice = install_advice(error, extra)
            if advice is None:
                raise
            missing = ConfigError(advice)
            missing.hint = _INSTALL_HINT
            raise missing from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands into the help text, without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sealflow")
def cli() -> None:
    """Confidential serving of machine-learning models.

    Clients verify the service, then seal each request, so that only a verified worker can open it.
    """


def main() -> None:
    """Run the command line; every error ends as two lines, or as JSON, and an exit code.

    Keys and plaintext are in this process: it leaves no image of its memory when it crashes.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Commands say it themselves, once.
    logging.getLogger("sealflow.owner.simulation").setLevel(logging.ERROR)
    report_threads()
    # https://no-color.org; click by itself looks only at whether this is a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    try:
        cli(prog_name="sealflow", color=color)
    except SealflowError as error:
        _fail(error, exit_code(error), color)
    except Exception as error:  # noqa: BLE001 - a defect, which is reported as one
        print_traceback(error)
        _fail(DefectError(error), EXIT_DEFECT, color)


def _fail(error: SealflowError, code: int, color: bool | None) -> NoReturn:
    print_error(error, as_json="--json" in sys.argv, color=color)
    sys.exit(code)


def exit_code(error: SealflowError) -> int:
    """Return the exit code of a command that ends with an error."""
    return next(code for kind, code in EXIT_CODES if isinstance(error, kind))


if __name__ == "__main__":
    main()
