// The init of a worker that may pause: while the worker is a parent, it makes replicas of it and tells how
// each ended. Their sandboxes are within this one, so nothing of them outlives it.
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "zygote/child_steps.h"
#include "zygote/replica_maker.h"

namespace sterna::zygote {
namespace {

using sandbox::StepError;

constexpr std::size_t kMaxReplicas = 256;

class ParentInit {
 public:
  ParentInit(const ChildSetup& setup, int control, int orders, pid_t worker)
      : control_(control), orders_(orders), worker_(worker), maker_(setup, orders) {
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child_signal, nullptr);
    signals_ = ::signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals_ < 0) give_up(control, {"signalfd", errno});
  }

  // Returns when the worker gives up being a parent before it was one.
  void run() {
    reap();
    while (true) {
      // Once the worker has closed its end it makes no more replicas.
      pollfd polled[] = {{control_, POLLIN, 0}, {signals_, POLLIN, 0}, {orders_open_ ? orders_ : -1, 0, 0}};
      if (::poll(polled, 3, -1) < 0) continue;
      if (polled[1].revents != 0) {
        signalfd_siginfo info;
        while (::read(signals_, &info, sizeof info) > 0) {
        }
        reap();
      }
      if (polled[0].revents != 0) take_order();
      if (polled[2].revents != 0) {
        orders_open_ = false;
        if (count_ == 0 && worker_ != 0) return;
      }
    }
  }

 private:
  struct Replica {
    std::uint32_t number = 0;
    pid_t init = 0;    // 0: ended
    pid_t worker = 0;  // 0: ended, with `status`
    int status = 0;
  };

  void take_order();
  void reap();
  void on_end(pid_t ended, int status);
  void settle(Replica& replica);

  const int control_;
  const int orders_;
  pid_t worker_;  // 0: ended
  ReplicaMaker maker_;
  int signals_ = -1;
  bool orders_open_ = true;
  Replica replicas_[kMaxReplicas];  // the first count_
  std::size_t count_ = 0;
};

void ParentInit::take_order() {
  ForkOrder order;
  RawPacket raw;
  const std::ptrdiff_t got = receive_raw(control_, &order, sizeof order, raw);
  if (got == 0) ::_exit(0);  // the zygote is gone
  MadeReplica made;
  StepError error{"receive the order", EPROTO};
  if (got == sizeof order && raw.fd_count >= kReplicaFds + (order.filtered() ? 1 : 0)) {
    error = count_ < kMaxReplicas ? maker_.make(order, raw, made) : StepError{"fork the parent", EAGAIN};
  }
  for (std::size_t i = 0; i < raw.fd_count; ++i) ::close(raw.fds[i]);
  ChildNote note{
      error ? ChildNote::Kind::kFailed : ChildNote::Kind::kEntered, error.error_number, {}, order.replica};
  if (error) {
    std::strncpy(note.step, error.step, sizeof note.step - 1);
    return send_note(control_, note);
  }
  replicas_[count_++] = {order.replica, made.init, made.worker, 0};
  const UniqueFd kill(static_cast<int>(::syscall(SYS_pidfd_open, made.init, 0)));
  const int fds[] = {kill.get(), made.listener.get()};
  const ucred sender{made.worker, sandbox::kInnerUid, sandbox::kInnerGid};
  send_packet(control_, {reinterpret_cast<const char*>(&note), sizeof note}, {fds, made.listener ? 2U : 1U},
              &sender);
}

void ParentInit::reap() {
  while (true) {
    int status = 0;
    const pid_t ended = ::waitpid(-1, &status, WNOHANG);
    if (ended <= 0) break;
    on_end(ended, status);
  }
  if (worker_ == 0 && count_ == 0) ::_exit(0);
}

void ParentInit::on_end(pid_t ended, int status) {
  if (ended == worker_) {
    worker_ = 0;
    return send_note(control_, {ChildNote::Kind::kExited, status, {}});
  }
  for (std::size_t i = 0; i < count_; ++i) {
    Replica& replica = replicas_[i];
    if (ended != replica.init && ended != replica.worker) continue;
    if (ended == replica.worker) {
      replica.worker = 0;
      replica.status = status;
      if (replica.init != 0) ::kill(replica.init, SIGKILL);  // and whatever it has left behind
    } else {
      replica.init = 0;  // the kernel has killed all in its namespace
    }
    return settle(replica);
  }
}

void ParentInit::settle(Replica& replica) {
  if (replica.init != 0 || replica.worker != 0) return;
  send_note(control_, {ChildNote::Kind::kExited, replica.status, {}, replica.number});
  replica = replicas_[--count_];
}

}  // namespace

void run_parent_init(const ChildSetup& setup, int control, int orders, pid_t worker) {
  ParentInit init(setup, control, orders, worker);
  init.run();
  ::close(orders);
  if (const StepError error = sandbox::drop_init(setup.isolation)) give_up(control, error);
  run_init(control, worker);
}

}  // namespace sterna::zygote
