"""The service: models that follow their alias, each in processes of its own, behind HTTP.

`service` is one scale and the alias it follows, `pool` its processes and who waits for them,
`worker` one such process; `application` is what HTTP clients meet, `server` what it runs in.
"""
