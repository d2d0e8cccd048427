#include "sandbox/oom_watch.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "sandbox/files.h"

namespace sterna::sandbox {
namespace {

using std::chrono::milliseconds;

// A look reads one small file of the kernel's.
constexpr milliseconds kFirstLook{2};
constexpr milliseconds kPatience{1000};
constexpr int kPartOfTheWait = 4;

}  // namespace

void OomLooks::begin(Time now) {
  began_ = now;
  due_ = now;
}

void OomLooks::go_on(Time now) {
  if (now - began_ >= kPatience) return end();
  due_ = now + std::max<Time::duration>(kFirstLook, (now - began_) / kPartOfTheWait);
}

std::optional<OomWatch> OomWatch::open(const std::string& directory) {
  const std::string control = directory + "/memory.oom_control";
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  const UniqueFd watched(::open(control.c_str(), O_RDONLY | O_CLOEXEC));
  if (!event || !watched) return std::nullopt;
  const std::string order = std::to_string(event.get()) + " " + std::to_string(watched.get());
  if (write_file(directory + "/cgroup.event_control", order) != 0) return std::nullopt;
  return OomWatch(std::move(event), control);
}

void OomWatch::on_readable(Time now) {
  std::uint64_t count = 0;
  if (::read(event_.get(), &count, sizeof count) == sizeof count) looks_.begin(now);
}

bool OomWatch::look(Time now) {
  if (read_counter(control_, "oom_kill") > 0) {
    looks_.end();
    return true;
  }
  looks_.go_on(now);
  return false;
}

}  // namespace sterna::sandbox
