"""A Dagster asset graph for data-centric iteration on an iris-image pipeline."""
