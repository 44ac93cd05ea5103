"""What builds and measures the project: catalogues, embedded models, benchmarks. Nothing here is installed."""
