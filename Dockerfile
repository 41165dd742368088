# weir on Debian 13, or on another BASE (Debian 12 works as well):
#   docker build -t weir . && docker run -v /etc/weir:/etc/weir:ro -p 443:443 weir
# tests/proofs/dockerfile.sh builds it without a container engine.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
WORKDIR /src
COPY . .
RUN ./dev build && DESTDIR=/out cmake --install build --component program --prefix /usr --strip
# The packages of the libraries that the program loads. Their names differ between releases of Debian.
RUN ldd /out/usr/bin/weir | sed -n 's/.* => .*\/\(lib[^ ]*\) .*/\1/p' \
    | while read -r library; do dpkg -S "*/$library"; done \
    | sed 's/:.*//' | sort -u > /out/packages

FROM ${BASE}
RUN --mount=type=bind,from=build,source=/out,target=/out \
    apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates libedit2 $(cat /out/packages) \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/usr /usr
COPY conf /usr/share/weir/conf
RUN weir --version
USER 65534:65534
ENTRYPOINT ["weir"]
CMD ["run", "-c", "/etc/weir/weir.yaml"]
