"""How gunicorn serves the API, in its image and as a local process."""

wsgi_app = "sentiment:create_app()"
workers = 2
threads = 4  # threaded workers keep connections open between requests; plain ones close each
preload_app = True  # one lexicon in memory for all workers, and a missing key is said once
control_socket_disable = True  # it wants a home directory, which the image's user does not have
