"""``python -m jupyter_bgstream.cli``."""

import sys

from . import main

sys.exit(main())
