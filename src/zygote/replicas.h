// The zygote's view of workers that were forked from a paused one: their processes belong to the paused
// worker's init, which tells what becomes of them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "zygote/child.h"
#include "zygote/control.h"
#include "zygote/packet.h"

namespace sterna::zygote {

// How a worker's process ended, from its wait status. `group`: to see whether memory was the reason; may be
// null.
Exited exit_of(const std::string& worker, int status, const sandbox::Cgroup* group, std::string error);

void send_signal(const UniqueFd& process, int signal);

// Single thread.
class Replicas {
 public:
  using ReportSink = std::function<void(Report, int listener)>;
  using GroupSink = std::function<void(sandbox::Cgroup)>;

  // `leave` takes the groups of those that have ended.
  Replicas(ReportSink report, GroupSink leave) : report_(std::move(report)), leave_(std::move(leave)) {}

  // Orders the replica from the parent's init. Fails when the order cannot be sent; what happens later is
  // reported.
  // `filter`: of the network, with network egress.
  Status start(const Start& start, int init_socket, const std::vector<UniqueFd>& fds, const UniqueFd& filter,
               std::optional<sandbox::Cgroup> group);
  // SIGKILL to all its processes. Answers its parent; nullopt when there is none of that name.
  std::optional<std::string> kill(const std::string& worker);

  // What a parent's init has said about a replica. Takes the descriptors.
  void take_note(const ChildNote& note, RawPacket& raw);
  // The sandbox that they were in has ended: they are dead.
  void lose(const std::string& parent);
  void remove_groups();

  bool has(const std::string& worker) const;
  std::size_t count(const std::string& parent) const;
  // Those that were not killed.
  std::size_t living(const std::string& parent) const;
  std::size_t size() const { return replicas_.size(); }

 private:
  struct Replica {
    std::uint32_t number = 0;
    std::string worker;
    std::string parent;
    UniqueFd init;  // a pidfd, once it has entered its sandbox: with it everything inside ends
    std::optional<sandbox::Cgroup> group;
    bool killed = false;
  };
  void end(std::size_t at, Exited exited);

  const ReportSink report_;
  const GroupSink leave_;
  std::vector<Replica> replicas_;
  std::uint32_t next_number_ = 1;
};

}  // namespace sterna::zygote
