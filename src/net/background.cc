#include "net/background.h"

namespace sterna::net {

Background::Background() : thread_([this] { work(); }) {}

void Background::run(std::string_view lane, Job job) {
  {
    const std::scoped_lock lock(mutex_);
    if (ending_) return;
    auto found = lanes_.find(lane);
    if (found == lanes_.end()) found = lanes_.emplace(lane, std::deque<Job>()).first;
    found->second.push_back(std::move(job));
    ++waiting_;
  }
  wake_.notify_one();
}

std::size_t Background::waiting() const {
  const std::scoped_lock lock(mutex_);
  return waiting_;
}

std::size_t Background::waiting(std::string_view lane) const {
  const std::scoped_lock lock(mutex_);
  const auto found = lanes_.find(lane);
  return found == lanes_.end() ? 0 : found->second.size();
}

void Background::end() {
  Lanes dropped;  // ends outside the lock
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    for (auto lane = lanes_.begin(); lane != lanes_.end();) {
      const auto here = lane++;
      if (here->first.empty()) continue;
      waiting_ -= here->second.size();
      dropped.insert(lanes_.extract(here));
    }
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

// The lane after the last one, by name, and around.
Job Background::next() {
  auto lane = lanes_.upper_bound(last_);
  if (lane == lanes_.end()) lane = lanes_.begin();
  last_ = lane->first;
  Job job = std::move(lane->second.front());
  lane->second.pop_front();
  --waiting_;
  if (lane->second.empty()) lanes_.erase(lane);
  return job;
}

void Background::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || !lanes_.empty(); });
    if (lanes_.empty()) return;
    Job job = next();
    lock.unlock();
    job();
    job = {};  // its captures end outside the lock
    lock.lock();
  }
}

}  // namespace sterna::net
