"""Makes the modules of this folder known by the names that the script uses."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
