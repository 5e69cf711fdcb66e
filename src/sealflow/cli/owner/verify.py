"""CLI: `sealflow verify` and `sealflow policy`: the trust report, and the demands of a policy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from sealflow.cli.connection import connection_options
from sealflow.cli.screen import (
    json_option,
    print_json,
    print_table,
    show_simulation,
    strip_control_characters,
)
from sealflow.errors import PolicyError, VerificationError

if TYPE_CHECKING:
    from rich.table import Table

    from sealflow.cli.connection import Connection
    from sealflow.owner.trust.policy_text import PolicyLine
    from sealflow.owner.trust.report import TrustReport


NOT_VERIFIED: Final = 3
"""The exit code of every VerificationError: see `EXIT_CODES` in `cli/main.py`."""


@click.group()
def policy() -> None:
    """Check policy files."""


@policy.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_policy(file: Path, *, as_json: bool) -> None:
    """Check the policy FILE and describe what it demands and what it leaves open.

    The exit code is 2 when FILE cannot be read or contradicts itself.
    """
    from sealflow.owner.trust.policy_file import load_policy_file
    from sealflow.owner.trust.policy_text import describe_policy

    found = load_policy_file(file)
    lines = describe_policy(found.keybroker, found.worker)
    if as_json:
        print_json(
            {
                "policy_digest": found.digest,
                "simulated": found.simulated,
                "lines": [
                    {"about": line.about, "text": line.text, "weakens": line.weakens}
                    for line in lines
                ],
            }
        )
        return
    _print_policy(file, found.digest, lines)


def _print_policy(file: Path, digest: str, lines: list[PolicyLine]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"{file}: policy {digest[:16]}…", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for line in lines:
        table.add_row(line.about, Text(line.text, style="bold yellow" if line.weakens else ""))
    print_table(table)
    weak = sum(line.weakens for line in lines)
    if weak:
        click.secho(
            f"{weak} of these settings weaken the protection.", fg="yellow", bold=True, err=True
        )


@click.command()
@click.argument("address", required=False, metavar="[URL]")
@connection_options
@click.option(
    "--accept-gap",
    is_flag=True,
    help="Accept the directory although the log since the pinned one is withheld.",
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Have the key broker prove itself for a nonce that is drawn here.",
)
@json_option
def verify(connection: Connection, *, accept_gap: bool, fresh: bool, as_json: bool) -> None:
    """Verify a service, and show what was proved and what was not.

    The command fetches the key broker's evidence and the signed directory, and checks both against
    the policy on this machine. It sends no data of yours. Exit code 0: everything is as the policy
    demands. 3: something is not. 2: the policy or an option is wrong. 6: the service does not
    answer.
    """
    try:
        with connection.client(accept_gap=accept_gap) as client:
            report = client.verify(fresh=fresh)
    except VerificationError as error:
        if as_json:
            print_json(_refusal(error))
        else:
            _print_refusal(connection.url, error)
        sys.exit(NOT_VERIFIED)
    if as_json:
        print_json({"url": connection.url, **report.to_json()})
    else:
        _print(connection, report)


def _refusal(error: VerificationError) -> dict[str, object]:
    return {"verified": False, "mismatches": [], **error.to_json()}


def _print_refusal(url: str, error: VerificationError) -> None:
    click.secho(f"NOT VERIFIED  {url}", fg="red", bold=True)
    click.echo("Do not send data there. None of your data was sent.\n")
    if not isinstance(error, PolicyError):
        click.echo(strip_control_characters(f"{error}\n{error.hint}"))
        return
    click.echo("The evidence is genuine, but it is not what the policy demands:")
    table = _table("mismatch", "the policy demands", "the service proved", "what to do")
    for each in error.mismatches:
        field = f"\n({each.field})" if each.field else "\n(no policy allows another)"
        table.add_row(each.code, each.expected + field, each.got, each.hint)
    print_table(table)


def _print(connection: Connection, report: TrustReport) -> None:
    from sealflow.clock import utc_text

    show_simulation(simulated=report.simulated)
    word, colour = ("SIMULATION ONLY", "yellow") if report.simulated else ("VERIFIED", "green")
    click.secho(f"{word}  {connection.url}", fg=colour, bold=True)
    click.echo(
        f"deployment {report.deployment}, by the policy {connection.policy}, "
        f"valid until {utc_text(report.valid_until_ms)}"
        + (", proved for a nonce of this machine" if report.fresh else "")
    )
    who = _table("who can see your data", "", "why")
    for sight in report.visibility:
        who.add_row(sight.who, "YES" if sight.sees else "no", sight.why)
    proved = _table("proved", "value, and what proves it")
    for fact in report.proven_facts():
        proved.add_row(fact.name, f"{fact.value}\nby {fact.by}")
    weakened = _table("the policy gives up", "what it accepts")
    for line in report.weakened:
        weakened.add_row(line.about, line.text)
    not_proved = _table("not proved", "why")
    for claim, why in report.not_proved:
        not_proved.add_row(claim, why)
    models = _table("model", "inputs", "outputs", "package")
    for model in report.models:
        models.add_row(
            f"{model.name}:{model.version}" + (" (default)" if model.default else ""),
            "\n".join(f"{s.name} {s.datatype} {list(s.shape)}" for s in model.inputs),
            "\n".join(f"{s.name} {s.datatype} {list(s.shape)}" for s in model.outputs),
            model.digest[:16] + "…",
        )
    for table in (who, proved, *([weakened] if report.weakened else []), not_proved, models):
        click.echo()
        print_table(table)
    show_simulation(simulated=report.simulated)


def _table(*headings: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    table.columns[0].no_wrap = True
    return table
