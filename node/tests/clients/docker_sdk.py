"""What programs in Python do with Docker's own library, Ansible's modules among them: by objects.

Its arguments are the sockets of two agents of one fleet. It ends with an error at the first answer
that the library cannot read, or that means something else than in Docker.
"""

import sys
import time

import docker
from docker.types import (
    EndpointSpec,
    Healthcheck,
    Resources,
    RestartPolicy,
    ServiceMode,
    UpdateConfig,
)

first, second = (docker.DockerClient(base_url="unix://" + path, version="auto") for path in sys.argv[1:])
SECOND = 1000000000


def until(what, holds):
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end, "not in time: " + what
        time.sleep(0.1)


def refused(kind, words, call):
    try:
        call()
    except docker.errors.APIError as error:
        assert isinstance(error, kind) and words in str(error), error
    else:
        raise AssertionError("it was not refused: " + words)


def states(service):
    return [task["Status"]["State"] for task in service.tasks({"desired-state": "running"})]


def fleet():
    assert first.ping() and first.info()["Swarm"]["Nodes"] == 2
    assert first.swarm.id and first.swarm.attrs["JoinTokens"]["Worker"]
    assert first.swarm.update(task_history_retention_limit=3)
    first.swarm.reload()
    assert first.swarm.attrs["Spec"]["Orchestration"]["TaskHistoryRetentionLimit"] == 3
    # Ansible's module for a swarm reads it without a question.
    assert first.swarm.attrs["Spec"]["TaskDefaults"] == {}
    assert first.swarm.get_unlock_key() == {"UnlockKey": ""}
    refused(docker.errors.APIError, "is not locked", lambda: first.swarm.unlock("x"))
    nodes = first.nodes.list(filters={"role": "manager"})
    assert sorted(node.attrs["Description"]["Hostname"] for node in nodes) == ["shop-1", "shop-2"]
    spec = {"Availability": "drain", "Role": "manager", "Labels": {"rack": "1"}}
    nodes[0].update(spec)
    nodes[0].reload()
    assert nodes[0].attrs["Spec"] == spec
    nodes[0].update({**spec, "Availability": "active"})
    assert first.secrets.list() == first.plugins.list() == []
    refused(docker.errors.NotFound, "edgectl service ls", lambda: first.services.get("nothing"))


def networks_and_configs():
    network = first.networks.create("back", driver="overlay", attachable=True, labels={"a": "b"})
    assert first.networks.get("back").attrs["Labels"] == {"a": "b"}
    assert [n.name for n in first.networks.list(filters={"label": "a"})] == ["back"]
    refused(docker.errors.APIError, "--network-add", lambda: network.connect("x"))
    config = first.configs.create(name="page", data=b"hello", labels={"x": "y"})
    until("the other node has it", lambda: second.configs.list(filters={"name": "page"}))
    assert second.configs.get(config.id).attrs["Spec"]["Data"] == "aGVsbG8="
    config.remove()
    network.remove()
    secret = first.secrets.create(name="key", data=b"hidden", labels={"x": "y"})
    until("the other node has it too", lambda: second.secrets.list(filters={"name": "key"}))
    spec = second.secrets.get(secret.id).attrs["Spec"]
    assert spec["Name"] == "key" and spec["Labels"] == {"x": "y"} and "Data" not in spec, spec
    refused(docker.errors.APIError, "already exists", lambda: second.secrets.create(name="key", data=b"x"))
    second.secrets.get("key").remove()


def services():
    made = first.services.create(
        "process:/bin/sh",
        args=["-c", "echo hello; while :; do sleep 1; done"],
        name="web",
        mode=ServiceMode("replicated", 2),
        labels={"tier": "front"},
        env=["A=1"],
        constraints=["node.role==manager"],
        maxreplicas=1,
        resources=Resources(mem_limit=64 << 20, cpu_limit=500000000),
        restart_policy=RestartPolicy("on-failure", delay=SECOND, max_attempts=3),
        update_config=UpdateConfig(parallelism=2, order="stop-first"),
        healthcheck=Healthcheck(test=["CMD-SHELL", "true"], interval=SECOND),
        endpoint_spec=EndpointSpec(mode="vip"),
        stop_grace_period=SECOND,
    )
    until("both run", lambda: states(made) == ["running"] * 2)
    until("both speak", lambda: b"".join(made.logs(stdout=True)).count(b"hello") == 2)
    # The library reads the spec, changes it, and sends it back.
    made.scale(1)
    made.reload()
    assert made.attrs["Spec"]["Mode"] == {"Replicated": {"Replicas": 1}}
    made.update(labels={"tier": "back"}, fetch_current_spec=True)
    made.reload()
    assert made.attrs["Spec"]["Labels"] == {"tier": "back"}
    container = made.attrs["Spec"]["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["A=1"] and container["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    made.force_update()
    until("it runs", lambda: states(made) == ["running"])
    assert [service.name for service in second.services.list(filters={"mode": "replicated"})] == ["web"]
    every = first.services.create("process:/bin/sleep", args=["99"], name="every", mode=ServiceMode("global"))
    every.reload()
    assert "Global" in every.attrs["Spec"]["Mode"], every.attrs["Spec"]["Mode"]
    job = ServiceMode("replicated-job", replicas=2, concurrency=1) if hasattr(ServiceMode, "replicated_job") else None
    assert job is None or first.services.create("process:/bin/true", name="job", mode=job)
    for service in first.services.list():
        service.remove()
    told = [e["Action"] for e in first.events(since=1, until=2, filters={"service": "web", "type": "service"}, decode=True)]
    assert told[0] == "create" and told[-1] == "remove", told


def volumes_and_images():
    volume = first.volumes.create("data", labels={"q": "r"})
    assert first.volumes.list()[0].attrs["Labels"] == {"q": "r"}
    assert "data" in [found["Name"] for found in first.df()["Volumes"]]
    volume.remove()
    assert first.volumes.prune()["SpaceReclaimed"] == 0
    assert first.images.list() == []
    refused(docker.errors.ImageNotFound, "No such image", lambda: first.images.get("nothing"))
    refused(docker.errors.APIError, "registry", lambda: first.images.search("x"))
    build = lambda: first.images.build(fileobj=open("/dev/null", "rb"))
    refused(docker.errors.APIError, "buildah", build)


fleet()
networks_and_configs()
services()
volumes_and_images()
print("docker", docker.__version__)
