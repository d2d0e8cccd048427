#include "server/descriptor_limit.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "base/log.h"

namespace sterna::server {

Status raise_descriptor_limit() {
  constexpr rlim_t kFewest = 256;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_max >= kFewest) return {};
  return fail(Code::kExhausted, Component::kGateway, "out_of_descriptors",
              fmt::format("the process may open {} files only, and the server needs at least {}: raise the "
                          "hard limit (ulimit -Hn, LimitNOFILE= of systemd)",
                          limit.rlim_max, kFewest));
}

std::uint64_t connection_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return wanted;
  const std::uint64_t most = std::max<std::uint64_t>(limit.rlim_cur / 4 * 3, 1);
  if (wanted > most) {
    log::warn("fewer connections than limits.max_connections: the limit of open files is low",
              {{"connections", static_cast<std::int64_t>(most)},
               {"open_files", static_cast<std::int64_t>(limit.rlim_cur)}});
  }
  return std::min(wanted, most);
}

}  // namespace sterna::server
