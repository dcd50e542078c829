"""A virtual machine that a test makes up: QEMU's monitor and the guest's agent on one set of devices.

QEMU's side always tells the truth about itself; the guest's may be made to lie. What was deleted,
added and asked for is written down, so that a test can say what may have happened and what not.
"""
import json
import socket
import threading
import time

MIB, GIB = 1 << 20, 1 << 30
BLOCK = 128 * MIB
REGION = 4 * GIB


class FakeVm:
    """Devices, and two servers: self.qmp and self.agent are the paths of their sockets.

    base, slots, maxmem  as QEMU's -m
    lie                  a function of (command, return) that gives what the guest says instead
    silent               commands that the guest does not answer
    keeps                ids of DIMMs that the guest's kernel does not let go of; "refuse" says so
    stuck                virtio-mem does not get below (or above) so many bytes
    ram                  what query-memdev says of the RAM
    """

    def __init__(self, folder, base=GIB, slots=16, maxmem=16 * GIB):
        self.base, self.slots, self.maxmem = base, slots, maxmem
        self.devices, self.backends = {}, {}
        self.deleted, self.added, self.requests, self.commands = [], [], [], []
        self.jobs, self.boot_id, self.block = {}, "boot-1", BLOCK
        self.lie = lambda command, returned: returned
        self.silent, self.keeps, self.refuses, self.busy = set(), set(), set(), {}
        self.untaken, self.stuck, self.plug_limit = set(), None, None
        self.job_state, self.ram, self.ram_type = None, {}, "memory-backend-ram"
        self.ram_properties = {}
        self.on_command = lambda side, command: None
        self._qmp_clients, self._lock = [], threading.RLock()
        self.qmp, self.agent = str(folder / "qmp.sock"), str(folder / "agent.sock")
        self._listen(self.qmp, self._serve_qmp)
        self._listen(self.agent, self._serve_agent)

    # --- what there is ---

    def dimm(self, name, size, cold=False):
        """A DIMM that is there from the start."""
        self.backends["mem-" + name] = size
        self._add_dimm({"id": name, "memdev": "mem-" + name}, hotplugged=not cold)
        return self.devices[name]

    def virtio_mem(self, name, maximum, size=0, block=2 * MIB):
        """A virtio-mem device."""
        self.devices[name] = {"kind": "virtio-mem", "id": name, "addr": self._end(), "max": maximum,
                              "size": size, "requested": size, "block": block, "node": 0,
                              "memdev": "mem-" + name}
        self.backends["mem-" + name] = maximum

    def total(self):
        """By QEMU, in bytes."""
        return self.base + sum(device["size"] for device in self.devices.values())

    def _end(self):
        return max([REGION] + [device["addr"] + device.get("max", device["size"])
                               for device in self.devices.values()])

    def _add_dimm(self, arguments, hotplugged=True):
        slots = {device.get("slot") for device in self.devices.values()}
        slot = min(n for n in range(self.slots + 1) if n not in slots)
        size = self.backends[arguments["memdev"]]
        taken = sum(device.get("max", device["size"]) for device in self.devices.values())
        if slot >= self.slots or self.base + taken + size > self.maxmem:
            raise ValueError("no free slot or no space")
        self.devices[arguments["id"]] = {
            "kind": "dimm", "id": arguments["id"], "addr": arguments.get("addr") or self._end(),
            "size": size, "slot": slot, "node": arguments.get("node", 0),
            "memdev": arguments["memdev"], "hotplugged": hotplugged}

    # --- servers ---

    def _listen(self, path, serve):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()

        def accept():
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._quietly, args=(serve, client), daemon=True).start()
        threading.Thread(target=accept, daemon=True).start()

    @staticmethod
    def _quietly(serve, client):
        try:
            serve(client)
        except (OSError, ValueError):
            pass
        client.close()

    def hang_up(self):
        """QEMU is gone."""
        for client in self._qmp_clients:
            client.shutdown(socket.SHUT_RDWR)

    def event(self, name, **data):
        """An event of QEMU's to its clients."""
        line = json.dumps({"event": name, "data": data,
                           "timestamp": {"seconds": 1, "microseconds": 2}}).encode() + b"\n"
        for client in self._qmp_clients:
            try:
                client.sendall(line)
            except OSError:
                pass

    def _serve_qmp(self, client):
        self._qmp_clients.append(client)
        client.sendall(b'{"QMP": {"version": {}, "capabilities": []}}\n')
        for line in client.makefile("rb"):
            request = json.loads(line)
            command, arguments = request["execute"], request.get("arguments", {})
            self.on_command("qmp", command)
            with self._lock:
                self.commands.append(command)
                try:
                    reply = {"return": getattr(self, "_qmp_" + command.replace("-", "_"))(arguments)}
                except (ValueError, KeyError) as wrong:
                    reply = {"error": {"class": "GenericError", "desc": str(wrong)}}
            client.sendall(json.dumps({**reply, "id": request.get("id")}).encode() + b"\n")
            if command in ("device_del", "qom-set") and "return" in reply:
                getattr(self, "_after_" + command.replace("-", "_"))(arguments)

    def _serve_agent(self, client):
        for line in client.makefile("rb"):
            request = json.loads(line.lstrip(b"\xff"))
            command, arguments = request["execute"], request.get("arguments", {})
            if command == "guest-sync-delimited":
                if "sync" not in self.silent:
                    client.sendall(b"\xff" + json.dumps({"return": arguments["id"]}).encode() + b"\n")
                continue
            self.on_command("agent", command)
            with self._lock:
                self.commands.append(command)
                reply = self._agent(command, arguments)
            if command in self.silent:
                continue
            client.sendall(json.dumps({**reply, "id": request.get("id")}).encode() + b"\n")

    # --- QEMU ---

    def _qmp_qmp_capabilities(self, _):
        return {}

    def _qmp_query_memory_size_summary(self, _):
        return {"base-memory": self.base, "plugged-memory": self.total() - self.base}

    def _qmp_query_memory_devices(self, _):
        listed = []
        for device in self.devices.values():
            data = {"id": device["id"], "memdev": "/objects/" + device["memdev"],
                    "node": device["node"]}
            if device["kind"] == "dimm":
                data.update({"addr": device["addr"], "size": device["size"], "slot": device["slot"],
                             "hotplugged": device["hotplugged"], "hotpluggable": True})
            else:
                data.update({"memaddr": device["addr"], "size": device["size"],
                             "max-size": device["max"], "block-size": device["block"],
                             "requested-size": device["requested"]})
            listed.append({"type": device["kind"], "data": data})
        return listed

    def _qmp_query_memdev(self, _):
        ram = {"id": "pc.ram", "size": self.base, "share": False, "prealloc": False, "merge": True,
               "dump": True, "host-nodes": [], "policy": "default", **self.ram}
        return [ram] + [{"id": name, "size": size, "share": False, "prealloc": False,
                         "host-nodes": [], "policy": "default"}
                        for name, size in self.backends.items()]

    def _qmp_qom_get(self, arguments):
        if arguments == {"path": "/machine", "property": "memory"}:
            return {"size": self.base, "slots": self.slots, "max-size": self.maxmem}
        return self.ram_properties[arguments["property"]]

    def _qmp_qom_list(self, _):
        return [{"name": "pc.ram", "type": "child<%s>" % self.ram_type}]

    def _qmp_query_status(self, _):
        return {"running": True, "status": "running"}

    def _qmp_object_add(self, arguments):
        self.backends[arguments["id"]] = arguments["size"]
        self.added.append(arguments)
        return {}

    def _qmp_object_del(self, arguments):
        del self.backends[arguments["id"]]
        return {}

    def _qmp_device_add(self, arguments):
        self._add_dimm(arguments)
        return {}

    def _qmp_device_del(self, arguments):
        if arguments["id"] not in self.devices:
            raise ValueError("Device '%s' not found" % arguments["id"])
        return {}

    def _after_device_del(self, arguments):
        name = arguments["id"]
        if name in self.refuses:
            self.event("MEM_UNPLUG_ERROR", device=name, msg="no")
        elif name not in self.keeps:
            with self._lock:
                self.deleted.append(name)
                del self.devices[name]
            self.event("DEVICE_DELETED", device=name, path="/machine/peripheral/" + name)

    def _qmp_qom_set(self, arguments):
        device = self.devices[arguments["path"].rpartition("/")[2]]
        if arguments["value"] % device["block"] or arguments["value"] > device["max"]:
            raise ValueError("bad size")
        device["requested"] = arguments["value"]
        self.requests.append((device["id"], arguments["value"]))
        return {}

    def _after_qom_set(self, arguments):
        device = self.devices[arguments["path"].rpartition("/")[2]]
        wanted = device["requested"]
        if self.stuck is not None:
            wanted = max(wanted, self.stuck) if wanted < device["size"] else min(wanted, self.stuck)
        device["size"] = wanted
        self.event("MEMORY_DEVICE_SIZE_CHANGE", id=device["id"], size=wanted)

    # --- the guest ---

    def _agent(self, command, arguments):
        method = getattr(self, "_guest_" + command.replace("-", "_"), None)
        if not method:
            return {"error": {"class": "CommandNotFound", "desc": "no " + command}}
        returned = self.lie(command, method(arguments))
        return returned if isinstance(returned, dict) and "error" in returned else {
            "return": returned}

    def records(self):
        """memory-get-devices, truly."""
        listed = []
        for device in self.devices.values():
            if device["id"] in self.untaken:
                continue
            is_dimm = device["kind"] == "dimm"
            listed.append({
                "id": "slot%d" % device["slot"] if is_dimm else "virtio0", "kind": device["kind"],
                "slot": device.get("slot", -1), "address": device["addr"], "node": 0,
                "size": device.get("max", device["size"]), "online-movable": device["size"],
                "online-kernel": 0, "offline": 0, "state": "in-use",
                "blockers": self.busy.get(device["id"], [])})
        return listed

    def _guest_memory_get_status(self, _):
        current = self.base + sum(record["online-movable"] for record in self.records())
        limit = {} if self.plug_limit is None else {"plug-limit": self.plug_limit}
        return {"block-size": self.block, "guest-current": current, "boot-id": self.boot_id,
                "policy": "movable", "warnings": [], **limit}

    def _guest_memory_get_devices(self, _):
        return self.records()

    def _guest_memory_set_target(self, _):
        return {}

    def _guest_memory_set_events(self, _):
        return {}

    def _guest_memory_plan_unplug(self, arguments):
        left, chosen, excluded = arguments["bytes"], [], []
        for record in sorted(self.records(), key=lambda record: -record["size"]):
            if record["kind"] != "dimm" or record["blockers"]:
                excluded.append({"device": record["id"], "reasons": record["blockers"]})
            elif record["size"] <= left:
                left -= record["size"]
                chosen.append(record["id"])
        return {"bytes": arguments["bytes"] - left, "devices": chosen, "excluded": excluded}

    def _guest_memory_check_unplug(self, _):
        reasons = [reason for record in self.records() for reason in record["blockers"]]
        return {"ready-to-prepare": not reasons, "needed-bytes": 0, "available-bytes": GIB,
                "reserve-bytes": 0, "reasons": reasons}

    def _guest_memory_prepare_unplug(self, arguments):
        job = len(self.jobs) + 1
        named = [(item.get("address"), item.get("size"), item.get("id"))
                 for item in arguments["devices"]]
        records = [r for r in self.records() if (r["address"], r["size"], None) in named
                   or (None, None, r["id"]) in named]
        reasons = [reason for record in records for reason in record["blockers"]]
        self.jobs[job] = {"job": job, "state": "failed" if reasons else "ready",
                          "devices": [{"id": record["id"]} for record in records],
                          "blocks-done": 1, "blocks-total": 1, "bytes": 1, "reasons": reasons}
        return {"job": job}

    def _guest_memory_query_unplug(self, arguments):
        job = self.jobs.get(arguments.get("job"))
        if not job:
            return {"error": {"class": "GenericError", "desc": "There is no job"}}
        return {**job, **({"state": self.job_state} if self.job_state else {})}

    def _guest_memory_cancel_unplug(self, arguments):
        if arguments["job"] in self.jobs:
            self.jobs[arguments["job"]]["state"] = "cancelled"
        return {}


def wait_for(condition, what, seconds=30):
    """Waits until CONDITION() is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain for " + what
        time.sleep(0.02)
