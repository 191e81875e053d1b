"""Write a page about the plan for people who write campaigns."""

from __future__ import annotations

import click

from trackrelay.plan.plan_page import html_page, markdown_page
from trackrelay.worker.cli.common.plan_options import (
    opened,
    output_option,
    plan_file_argument,
    write_output,
)


@click.command()
@plan_file_argument
@output_option
@click.option("--markdown", "as_markdown", is_flag=True, help="Write Markdown instead of HTML.")
def docs(file: str, output: str, as_markdown: bool) -> None:
    """Write a page about the events and attributes.

    The HTML page is one file that loads nothing: put it where marketing finds it.
    """
    plan = opened(file)
    write_output(output, markdown_page(plan) if as_markdown else html_page(plan))
