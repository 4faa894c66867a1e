"""python -m layergrad.cli: the same as the command."""

import sys

from layergrad.cli import main

sys.exit(main())
