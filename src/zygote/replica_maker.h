// Makes one replica of a paused worker: a sandbox within the worker's, and a fork of the worker that is moved
// into it. For the init of the worker's sandbox, which has its privileges and trusts no memory that user code
// has touched.
#pragma once

#include <sys/types.h>

#include <cstdint>

#include "base/unique_fd.h"
#include "sandbox/tracee.h"
#include "zygote/child.h"
#include "zygote/packet.h"
#include "zygote/parent_words.h"

namespace sterna::zygote {

struct MadeReplica {
  pid_t init = 0;     // pid 1 of its namespace; a child of the caller
  pid_t worker = 0;   // becomes a child of the caller
  UniqueFd listener;  // with network egress
};

class ReplicaMaker {
 public:
  // `orders` leads to the paused worker.
  ReplicaMaker(const ChildSetup& setup, int orders);

  // `raw` is what came with the order. On failure all that was begun is killed. Takes at most kPatience.
  sandbox::StepError make(const ForkOrder& order, const RawPacket& raw, MadeReplica& made);

 private:
  sandbox::StepError make_init(const ForkOrder& order, const RawPacket& raw, MadeReplica& made);
  sandbox::StepError order_fork(const RawPacket& raw);
  sandbox::StepError receive(Said::Kind kind, pid_t* sender);
  sandbox::StepError move(const ForkOrder& order, const RawPacket& raw, UniqueFd& listener);
  sandbox::StepError join_groups(const ForkOrder& order, const RawPacket& raw) const;
  sandbox::StepError hand_over(const ForkOrder& order) const;
  sandbox::StepError unshare_descriptors();
  sandbox::StepError join_namespaces();
  sandbox::StepError drop_privileges();
  sandbox::StepError restrict_files();
  sandbox::StepError install_filter(UniqueFd& listener);
  sandbox::StepError call(const char* step, long number, const sandbox::Tracee::Arguments& arguments,
                          std::int64_t* result = nullptr);
  sandbox::StepError check_worker(const ForkOrder& order, pid_t worker) const;
  int filters_with(const ForkOrder& order) const;  // of a replica

  const ChildSetup& setup_;
  const int orders_;
  const int outer_filters_;  // of the machine's or the container's making
  UniqueFd joined_[kMaxJoined];
  std::size_t joined_count_ = 0;
  std::size_t namespace_count_ = 0;
  sandbox::Tracee tracee_;
  pid_t forked_ = 0;
  UniqueFd process_;  // forked_, a pidfd
  Said here_;
};

}  // namespace sterna::zygote
