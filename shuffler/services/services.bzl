"""The one list of the services; everything else that goes over all of them reads it here, or in images.json."""

SERVICES = [
    "aggregator",
    "collector",
    "model_updater",
    "task_assignment",
    "task_builder",
    "task_management",
    "task_scheduler",
]

# {service: label of its image}
IMAGES = {
    service: "//shuffler/services/{}:{}_image".format(service.replace("_", ""), service)
    for service in SERVICES
}
