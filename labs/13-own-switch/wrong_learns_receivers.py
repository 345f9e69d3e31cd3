# SPDX-License-Identifier: Apache-2.0
# It learns where receivers are from the port by which frames for them come in.
from skeleton import FLOOD, Skeleton


class LearnsReceivers(Skeleton):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.ports = {}

    def decide(self, switch, port, source, destination):
        out = self.ports.get(destination, FLOOD)
        self.ports[destination] = port
        return out
