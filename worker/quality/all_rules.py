"""Everything that is wrong with the data, by all rules. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .catalog import Catalog
from .day_rules import day_findings
from .delivery_rules import DELIVERY_RULES
from .identity_rules import IDENTITY_RULES
from .lateness_rules import timing_findings
from .name_rules import name_findings
from .null_rules import null_findings
from .order_rules import order_findings
from .payload_rules import payload_findings
from .plan_rules import PLAN_RULES
from .presence_rules import presence_findings
from .retention_rules import retention_findings
from .rules import DATA_RULES, Finding, Severity
from .source_rules import source_findings
from .type_rules import type_findings
from .word_rules import word_findings

#: All rules, by id.
RULES = {**DATA_RULES, **PLAN_RULES, **IDENTITY_RULES, **DELIVERY_RULES}
#: What was not seen for so long does not open a finding any more, in seconds.
RECENT_S = 7 * 86_400.0
_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def findings(catalog: Catalog, now: float) -> list[Finding]:
    """Return all findings, the worst first.

    Args:
        catalog: what was observed.
        now: unix seconds. What was last seen a week before is over.
    """
    since = now - RECENT_S
    found = [
        *type_findings(catalog, since),
        *null_findings(catalog, since),
        *name_findings(catalog),
        *presence_findings(catalog),
        *timing_findings(catalog),
        *source_findings(catalog, since),
        *payload_findings(catalog, since),
        *word_findings(catalog, since),
        *order_findings(catalog, since),
        *retention_findings(catalog, since),
        *day_findings(catalog, now),
    ]
    return worst_first(found)


def worst_first(found: Iterable[Finding]) -> list[Finding]:
    """Return findings in the order in which they are reported."""
    return sorted(found, key=lambda each: (_ORDER.index(each.severity), each.rule.id, each.subject))
