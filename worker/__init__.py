"""The workers: deliver what applications enqueued, and everything that operates them."""

if __name__ == "worker":
    # In a clone, `celery -A trackrelay worker` imports the folder by its own name.
    from trackrelay.folder_names import use_package

    use_package(__name__)
