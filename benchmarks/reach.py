"""What each code key holds: `python benchmarks/reach.py [--modules]`.

Prints, for what computes, describes and checks each asset, how many modules its code key reaches
(by the names that are used, not whole modules), and writes the modules as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import iip_assets
from iip_assets.engine.code_key import CodeKeys
from iip_assets.graph import ASSETS, FRAMEWORK


def main() -> None:
    """Prints the table and writes the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", action="store_true", help="also print the modules")
    parser.add_argument("--json", type=Path, default=Path("reports/reach.json"))
    asked = parser.parse_args()
    keys = CodeKeys("iip_assets", Path(iip_assets.__file__).parent, framework=FRAMEWORK)
    found = {
        part.name: sorted(keys.of(part.function).modules)
        for asset in ASSETS
        for part in (asset.compute, *asset.parts)
    }
    for name, modules in found.items():
        sys.stdout.write(f"{len(modules):4} {name}\n")
        if asked.modules:
            sys.stdout.writelines(f"       {module}\n" for module in modules)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
