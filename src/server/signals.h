// SIGTERM, SIGINT, and SIGHUP of a terminal that is closed. A thread of its own waits for them, so that they
// are heard whatever the others do.
#pragma once

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace sterna::server {

class Signals {
 public:
  // How long the process lasts after a second signal, with a thread that does not end.
  static constexpr Duration kPatience = std::chrono::seconds(2);

  // Keeps them for the one who waits: call before the first thread starts.
  static void block();

  // Throws std::system_error when the kernel gives no descriptors.
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // From now on `heard` is called for each of them on the thread that waits, and for those that came before
  // on this one. It must not block. nullptr: nobody is told. SIGHUP is heard as the first one only: a
  // terminal that is closed may send more.
  void tell(std::function<void(int)> heard);

  // Ends the process with status 1 when it still lasts after that time. So do a second signal after
  // kPatience, and a third one at once. For what has been written a death like that is no other than a power
  // cut.
  void end_within(Duration patience);

 private:
  void wait();
  void on_signal(int signal);
  bool goes_on();
  int milliseconds_left();

  const SystemClock clock_;
  UniqueFd signals_;
  UniqueFd wake_;
  std::mutex mutex_;
  std::function<void(int)> heard_;               // guarded by mutex_
  std::vector<int> early_;                       // guarded by mutex_; nobody has been told of them yet
  int count_ = 0;                                // guarded by mutex_; those that end
  MonotonicTime latest_ = MonotonicTime::max();  // guarded by mutex_
  bool done_ = false;                            // guarded by mutex_
  std::thread thread_;                           // last: it uses the others
};

}  // namespace sterna::server
