# SPDX-License-Identifier: Apache-2.0
"""hoplab: a network lab that follows one real packet across every hop.

The engine. What users read, copy and change lives beside it, in topologies/, controllers/ and
apps/; the engine loads those files by path and they never import it. `docs/architecture.md`
draws the rooms and says which may import which.
"""

__version__ = "0.1.0"
