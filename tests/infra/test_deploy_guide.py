"""The deployment guide (docs/deploy.md) explains every alarm and alert of the stacks."""

import re
from pathlib import Path

import infra
from axon.catalog import FUNCTIONS
from tests.infra.conftest import Templates

ROOT = Path(infra.__file__).parents[1]
GUIDE = (ROOT / "docs" / "deploy.md").read_text()


def test_deploy_guide_explains_every_alarm(prod: Templates) -> None:
    functions = {name.replace("_", "-") for name in FUNCTIONS}
    for template in prod.values():
        for alarm in template.find_resources("AWS::CloudWatch::Alarm").values():
            name = alarm["Properties"].get("AlarmName", "").removeprefix("axon-prod-")
            kind = name
            for function in functions:
                if name.startswith(f"{function}-"):
                    kind = f"<function>{name.removeprefix(function)}"
            assert not kind or f"`{kind}`" in GUIDE, name


def test_deploy_guide_names_every_alert() -> None:
    rules = (ROOT / "infra/constructs/observability/alert_rules.yaml").read_text()
    alerts = re.findall(r"- alert: (\w+)$", rules, re.MULTILINE)
    assert alerts
    assert [alert for alert in alerts if f"`{alert}`" not in GUIDE] == []
