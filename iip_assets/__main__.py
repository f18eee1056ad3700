"""`python -m iip_assets` is the `iip` command."""

from iip_assets.cli.main import main

main()
