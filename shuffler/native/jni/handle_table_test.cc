#include "shuffler/native/jni/handle_table.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace fcp {
namespace {

TEST(HandleTableTest, OnlyOpenHandlesLead) {
  HandleTable<int> table;
  const int64_t first = table.Add(std::make_shared<int>(1));
  const int64_t second = table.Add(std::make_shared<int>(2));
  EXPECT_NE(first, 0);
  EXPECT_NE(first, second);
  EXPECT_EQ(**table.Get(first), 1);
  table.Close(first);
  table.Close(first);
  table.Close(-1);
  EXPECT_EQ(table.Get(first).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(table.Get(0).status().code(), Code::kFailedPrecondition);
  EXPECT_EQ(**table.Get(second), 2);
}

TEST(HandleTableTest, AClosedObjectLivesUntilItsLastUserLetsGo) {
  HandleTable<int> table;
  auto object = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = object;
  const int64_t handle = table.Add(std::move(object));
  {
    const Result<std::shared_ptr<int>> used = table.Get(handle);
    table.Close(handle);
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(HandleTableTest, ThreadsMayOpenUseAndClose) {
  HandleTable<int> table;
  const int64_t shared = table.Add(std::make_shared<int>(0));
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&table, shared] {
      for (int i = 0; i < 1000; ++i) {
        const int64_t own = table.Add(std::make_shared<int>(i));
        EXPECT_EQ(**table.Get(own), i);
        EXPECT_TRUE(table.Get(shared).ok());
        table.Close(own);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace fcp
