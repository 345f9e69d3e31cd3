# SPDX-License-Identifier: Apache-2.0
# It does not learn: where the four hosts are stands in it.
from skeleton import FLOOD, Skeleton


class HardCoded(Skeleton):
    def decide(self, switch, port, source, destination):
        out = {f"02:00:00:00:0{n}:00": n for n in range(1, 5)}.get(destination, FLOOD)
        if out != FLOOD:
            self.flow(switch, 1, out, in_port=port, eth_src=source, eth_dst=destination)
        return out
