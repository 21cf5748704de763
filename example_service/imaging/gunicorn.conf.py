"""How gunicorn serves Flask and aiohttp, in the image and as a local process."""

workers = 2
threads = 4  # of Flask; as imaging.THREADS, which the others have
worker_connections = 2_000  # a user keeps one open, also while looking at the picture
keepalive = 30  # seconds; users look for up to 15, and a connection should not close just as the next request comes
control_socket_disable = True  # it wants a home directory, which the image's user does not have
