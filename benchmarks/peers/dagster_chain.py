"""Plain Dagster: materializes a chain of CHAIN_LENGTH assets that do nothing, in this process."""

from __future__ import annotations

import os

import dagster as dg


def link(number: int) -> dg.AssetsDefinition:
    """One asset of the chain; it needs the one before."""

    @dg.asset(name=f"asset_{number}", deps=[f"asset_{number - 1}"] if number else [])
    def nothing() -> None:
        return None

    return nothing


def main() -> None:
    chain = [link(number) for number in range(int(os.environ["CHAIN_LENGTH"]))]
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    result = dg.materialize(chain, instance=dg.DagsterInstance.get(), run_config=quiet)
    assert result.success


if __name__ == "__main__":
    main()
