#include "zygote/oom_guard.h"

#include <algorithm>
#include <utility>

namespace sterna::zygote {

void OomGuard::add(const std::string& worker, std::optional<sandbox::OomWatch> watch) {
  if (watch) guarded_.push_back({worker, std::move(*watch)});
}

void OomGuard::remove(const std::string& worker) {
  std::erase_if(guarded_, [&](const Guarded& each) { return each.worker == worker; });
}

std::vector<int> OomGuard::fds() const {
  std::vector<int> fds;
  fds.reserve(guarded_.size());
  for (const Guarded& each : guarded_) fds.push_back(each.watch.fd());
  return fds;
}

void OomGuard::on_readable(int fd, Time now) {
  const auto found = std::ranges::find_if(guarded_, [fd](const auto& each) { return each.watch.fd() == fd; });
  if (found != guarded_.end()) found->watch.on_readable(now);
}

OomGuard::Time OomGuard::due() const {
  Time first = Time::max();
  for (const Guarded& each : guarded_) first = std::min(first, each.watch.due());
  return first;
}

std::vector<std::string> OomGuard::take_killed(Time now) {
  std::vector<std::string> killed;
  std::erase_if(guarded_, [&](Guarded& each) {
    if (each.watch.due() > now || !each.watch.look(now)) return false;
    killed.push_back(std::move(each.worker));
    return true;
  });
  return killed;
}

}  // namespace sterna::zygote
