"""Google's own clients, behind the ports: the only package that imports `google`.

The same code speaks to the cloud and to an emulator; the client libraries read the emulators' addresses themselves.
"""
