# Heroku's Redis signs its certificate itself.
export TRACKRELAY_REDIS_URL="${TRACKRELAY_REDIS_URL:-$REDIS_URL?ssl_cert_reqs=none}"
