# SPDX-License-Identifier: Apache-2.0
from skeleton import FLOOD, Skeleton


class Learning(Skeleton):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}  # where each card is: address -> port

    def decide(self, switch, port, source, destination):
        self.ports[switch.id, source] = port
        return self.ports.get((switch.id, destination), FLOOD)
