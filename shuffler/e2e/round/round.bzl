"""What programs need that have tasks built: the client of the task builder, and data."""

ROUND_DATA = [
    "//shuffler/services/taskbuilder:task_builder_client",
    "@pypi_scikit_learn//:site-packages",
]

ROUND_ENV = {
    "SCIKIT_LEARN": "$(rlocationpath @pypi_scikit_learn//:site-packages)",
    "TASK_BUILDER_CLIENT": "$(rlocationpath //shuffler/services/taskbuilder:task_builder_client)",
    # Warnings and errors only.
    "TF_CPP_MIN_LOG_LEVEL": "1",
}
