// The lock that guards a worker's state, as far as native code must know it: CPython's own lock in Python's
// runtime, a mutex or none in others.
#pragma once

#include <mutex>

namespace sterna::worker {

class Guard {
 public:
  virtual ~Guard() = default;

  // A signal has ended a wait of the holder: runs what user code does about it.
  virtual void on_signal() {}

  // Gives the lock away while the holder waits for the kernel.
  class Pause {
   public:
    explicit Pause(Guard& guard) : guard_(guard), state_(guard.pause()) {}
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;
    ~Pause() { guard_.resume(state_); }

   private:
    Guard& guard_;
    void* state_;
  };

  // Holds the lock in a thread of the runtime itself, which user code knows nothing of.
  class Visit {
   public:
    explicit Visit(Guard& guard) : guard_(guard), state_(guard.enter()) {}
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit() { guard_.leave(state_); }

   private:
    Guard& guard_;
    int state_;
  };

 private:
  virtual void* pause() = 0;
  virtual void resume(void* state) = 0;
  virtual int enter() = 0;
  virtual void leave(int state) = 0;
};

// For workers whose state belongs to one thread.
class NoGuard final : public Guard {
  void* pause() override { return nullptr; }
  void resume(void*) override {}
  int enter() override { return 0; }
  void leave(int) override {}
};

// Who works on the channel holds the mutex.
class MutexGuard final : public Guard {
 public:
  std::mutex& mutex() { return mutex_; }

 private:
  void* pause() override {
    mutex_.unlock();
    return nullptr;
  }
  void resume(void*) override { mutex_.lock(); }
  int enter() override {
    mutex_.lock();
    return 0;
  }
  void leave(int) override { mutex_.unlock(); }

  std::mutex mutex_;
};

}  // namespace sterna::worker
