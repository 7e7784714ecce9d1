"""The service: models that follow their alias, each in processes of its own, behind HTTP.

`service` is one scale and the alias it follows, `pool` its processes and who waits for them,
`worker` one such process, `loading` what a version has to pass; `guests` are versions beside the
served one, `choices` what may be compared. `application` is what HTTP clients meet, by `reading`,
`responses`, `page` and `metrics`; `server` is what it runs in.
"""
